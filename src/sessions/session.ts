import { randomUUID } from 'node:crypto';
import type {
  FinishReason,
  InterruptReason,
  LogEntry,
  OpenTurn,
  TerminalState,
  TurnError,
  TurnState,
  UIMessage,
  Usage,
} from '../protocol.js';
import type { PinnedAgent } from './pinned-agent.js';

/** Who may open a session: whoever holds its key, or the subject of a token. */
export type Owner = { kind: 'key'; keyHash: string } | { kind: 'subject'; sub: string };

/** The request that made a turn; `send` and `retry` ids are namespaces of their own. */
export interface TurnRequest {
  kind: 'send' | 'retry';
  id: string;
}

export interface WaitingTurn {
  turnId: string;
  request: TurnRequest;
  /** The user message; it joins the transcript when its turn begins. */
  message: UIMessage;
}

export interface RunningTurn {
  turnId: string;
  request: TurnRequest;
  messageId: string;
  /** The agent that answers, an id. */
  agent: string;
  /** The seq of its `running` event. */
  startSeq: number;
  /** Where its user message stands in the transcript; the answer stands right after it. */
  position: number;
}

/** All of a session but its transcript and its log: small, and read and written as a whole. */
export interface Session {
  sessionId: string;
  owner: Owner;
  agent: PinnedAgent;
  epoch: string;
  /** The last event's. */
  seq: number;
  /** ISO 8601. */
  createdAt: string;
  updatedAt: string;
  title: string;
  /** Where the next turn's user message will stand. Each turn takes two places: the message, the answer. */
  nextPosition: number;
  running?: RunningTurn;
  waiting: WaitingTurn[];
  /** It ends as soon as the running turn has ended. */
  closing?: 'closed' | 'expired';
  metadata?: Record<string, unknown>;
  /** What all of its turns that ended have used, withdrawn ones included; absent before the first of them. */
  used?: Usage;
}

/** What makes a repeated request answer with the turn that the first one made. */
export interface RequestRecord {
  request: TurnRequest;
  /** SHA-256 of what the request said, so that the same id with another content is noticed. */
  digest: string;
  turnId: string;
  messageId: string;
  /** Kept up to date only at the turn's end; an open turn's state is the session's to say. */
  state: TurnState;
}

export interface PlacedMessage {
  position: number;
  message: UIMessage;
}

/** One step: what it adds to the log and what that implies for everything beside it. */
export interface Change {
  session: Session;
  entries: LogEntry[];
  /** Messages from this position on are withdrawn, before `messages` are put. */
  withdrawFrom?: number;
  messages?: PlacedMessage[];
  request?: RequestRecord;
  /** Turns that ended by this step. */
  settled?: { request: TurnRequest; turnId: string; state: TerminalState }[];
  /** What the turn that ended has used, on its owner's account. */
  spent?: Spending;
  /** The session ended: after this change nothing of it is kept but its id. */
  gone?: true;
}

/** Tokens, in and out, that a subject used on a day. */
export interface Spending {
  subject: string;
  /** ISO 8601, in UTC: 2026-11-22. */
  day: string;
  tokens: number;
}

/** How a turn ends. */
export type Ending =
  | { state: 'completed'; finishReason: FinishReason }
  | { state: 'cancelled' }
  | { state: 'interrupted'; reason: InterruptReason }
  | { state: 'failed'; error: TurnError };

/** The end of the running turn: the stored answer equals the fold of the turn's chunks. */
export interface TurnEnd {
  ending: Ending;
  answer: UIMessage;
  usage?: Usage;
}

/** The sum of two; one estimate makes it an estimate. */
export function addUsage(one: Usage | undefined, other: Usage): Usage {
  if (!one) return other;
  return {
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    estimated: one.estimated || other.estimated,
  };
}

/** A history that no other one shares its name with. Cheap: a UUID's random bytes are drawn in advance. */
export function newEpoch(): string {
  return randomUUID().replace('-', '').slice(0, 12);
}

/** A turn runs or waits. */
export function isBusy(session: Session): boolean {
  return session.running !== undefined || session.waiting.length > 0;
}

/** The running turn first, then those that wait, in their order. */
export function openTurns(session: Session): OpenTurn[] {
  const turns: OpenTurn[] = session.waiting.map(({ turnId, message }) => ({
    turnId,
    messageId: message.id,
    state: 'queued',
  }));
  if (session.running) {
    const { turnId, messageId } = session.running;
    turns.unshift({ turnId, messageId, state: 'running' });
  }
  return turns;
}
