import type { SessionEvent } from '../protocol.js';
import type { Ending, RunningTurn } from './session.js';
import type { PinnedAgent } from './pinned-agent.js';

export type NextTurn =
  /** It runs now: its `running` event is in the log. */
  | { kind: 'turn'; turn: RunningTurn; agent: PinnedAgent }
  /** Its owner died: to be finalised from the events that its log holds. */
  | { kind: 'abandoned'; turn: RunningTurn; agent: PinnedAgent; events: SessionEvent[] }
  /** Nothing waits; the lease is released in the same step, so that no later send can be missed. */
  | { kind: 'idle' }
  | { kind: 'deposed' };

/** Decides how a running turn ends, on the node that runs it; undefined: it does not run here. */
export type StopHandler = (sessionId: string, turnId: string, ending: Ending) => Promise<Ending | undefined>;

/** Another owner has taken a session: whatever runs for it under this fence has to stop. */
export type DeposedHandler = (sessionId: string, fence: number) => void;

/** Who may run a session's turns. The fence only grows; whoever holds an older one is deposed. */
export abstract class TurnLease {
  /** How often {@link due} is to be asked, milliseconds; undefined: at the start only, as nobody else can leave turns behind. */
  abstract readonly sweepMs: number | undefined;

  /** The fence under which this node may run the session's turns; undefined: someone else may. */
  abstract claim(sessionId: string): Promise<number | undefined>;

  /** Begins the next waiting turn, or gives back the lease. */
  abstract next(sessionId: string, fence: number): Promise<NextTurn>;

  /** Gives back the lease without having begun a turn. */
  abstract release(sessionId: string, fence: number): Promise<void>;

  /** Sessions that have an open turn and no living owner. */
  abstract due(): Promise<string[]>;

  /**
   * Asks the owner to end a running turn.
   * @returns how it ends, which may be otherwise if that was decided before; undefined: it runs nowhere
   */
  abstract stop(sessionId: string, turnId: string, ending: Ending): Promise<Ending | undefined>;

  abstract onStop(handler: StopHandler): void;

  /**
   * Nobody else runs the session's turns: to be asked before anything that cannot be taken back, since a process may
   * have stood still without noticing. Waits while that cannot be known.
   */
  abstract confirm(sessionId: string, fence: number, signal?: AbortSignal): Promise<boolean>;

  abstract onDeposed(handler: DeposedHandler): void;
}
