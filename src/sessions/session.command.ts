import type { InterruptReason, TurnState, WhenBusy } from '../protocol.js';
import type { PinnedAgent } from './pinned-agent.js';

/** Of a command that starts a turn. */
interface Admission {
  /** The id of the turn that it makes, if it makes one. */
  turnId: string;
  /** False while draining: only duplicates are answered. */
  admit: boolean;
  /** What the session's owner may have used today, if that is a token's subject; undefined: anything. */
  tokensPerDay?: number;
}

export interface SendCommand extends Admission {
  kind: 'send';
  messageId: string;
  text: string;
  digest: string;
  whenBusy: WhenBusy;
}

export interface RetryCommand extends Admission {
  kind: 'retry';
  retryId: string;
  messageId?: string;
  text?: string;
  digest: string;
}

/** Ends a waiting turn; of a running one it says only that it runs. */
export interface CancelCommand {
  kind: 'cancel';
  turnId?: string;
}

export interface EndWaitingCommand {
  kind: 'end-waiting';
  reason: InterruptReason;
}

export interface SwitchCommand {
  kind: 'switch';
  agent: PinnedAgent;
}

export interface CloseCommand {
  kind: 'close';
  state: 'closed' | 'expired';
  /** Does nothing unless the session is detached and idle since before this time (epoch milliseconds). */
  unlessActiveSince?: number;
}

export type Command =
  SendCommand | RetryCommand | CancelCommand | EndWaitingCommand | SwitchCommand | CloseCommand;

/** What became of a command. */
export type Outcome =
  | { kind: 'accepted'; turnId: string; messageId: string; state: TurnState; interrupts?: string }
  | { kind: 'duplicate'; turnId: string; messageId: string; state: TurnState }
  | { kind: 'conflict' }
  | { kind: 'busy' }
  | { kind: 'queue_full' }
  | { kind: 'draining' }
  /** The owner has used what it may today. */
  | { kind: 'spent'; retryAfterMs: number }
  | { kind: 'unknown_message' }
  | { kind: 'running'; turnId: string }
  | { kind: 'ended'; turnId: string; state: TurnState }
  | { kind: 'no_turn' }
  | { kind: 'done' }
  /** The running turn has to be stopped first; the session ends with it. */
  | { kind: 'closing'; turnId: string }
  | { kind: 'gone' };
