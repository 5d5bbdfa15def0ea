import type { SessionEvent, TerminalState } from '../../protocol.js';
import type { PlacedMessage, RequestRecord, Session, Spending, TurnRequest } from '../session.js';
import type { Census, ListedSession, ListQuery } from '../session.store.js';

/** A contiguous piece of a session's log: the events after `from` up to `to`. */
export interface LogSegment {
  from: number;
  to: number;
  /**
   * When its last turn ended, epoch milliseconds: from then on the resume window counts. Undefined: it holds
   * the beginning of a turn that still runs, and is kept whatever its age.
   */
  sealedAt?: number;
  events: SessionEvent[];
}

/** One row that changes. A batch of them is applied in order, as a whole or not at all. */
export type Write =
  /** `idleSince`, epoch milliseconds, is of one that is made. */
  | { kind: 'session'; session: Session; idleSince?: number }
  /** The last turn ended at this time, epoch milliseconds. */
  | { kind: 'idle'; sessionId: string; at: number }
  | { kind: 'request'; sessionId: string; record: RequestRecord }
  | { kind: 'settle'; sessionId: string; request: TurnRequest; state: TerminalState }
  | { kind: 'withdraw'; sessionId: string; from: number }
  | { kind: 'message'; sessionId: string; placed: PlacedMessage }
  /** Events of the log that no segment holds yet; after a restart they stand in one. */
  | { kind: 'events'; sessionId: string; from: number; events: SessionEvent[] }
  /** Events that were written by `events` before now stand in a segment; `sealedAt` also seals earlier ones. */
  | { kind: 'segment'; sessionId: string; segment: LogSegment }
  | { kind: 'spent'; spending: Spending }
  /** Everything but the id is removed; the id stays refused until then, epoch milliseconds. */
  | { kind: 'remove'; sessionId: string; refusedUntil: number };

/** Whether a session is attached. */
export interface Presence {
  attached: boolean;
  /** Since when, epoch milliseconds. */
  at: number;
}

export interface LoadedSession {
  session: Session;
  attached: boolean;
  /** Later of the last unbind and the last turn's end, epoch milliseconds. */
  idleSince: number;
}

/**
 * The rows under the embedded store: synchronous reads, grouped writes. Two adapters pass one contract suite:
 * maps in memory, and SQLite.
 */
export abstract class SessionTables {
  /** 'refused': the id belonged to a session that ended lately. */
  abstract load(sessionId: string): LoadedSession | 'refused' | undefined;
  abstract request(sessionId: string, request: TurnRequest): RequestRecord | undefined;
  abstract turn(sessionId: string, turnId: string): RequestRecord | undefined;
  abstract message(sessionId: string, messageId: string): PlacedMessage | undefined;
  abstract messageAt(sessionId: string, position: number): PlacedMessage | undefined;
  /** Messages at positions below `before`, newest first, read as they are taken; `bytes` of JSON. */
  abstract messagesBefore(sessionId: string, before: number): Iterable<PlacedMessage & { bytes: number }>;
  /** Segments that hold events after `seq`, in order, read as they are taken. */
  abstract segments(sessionId: string, afterSeq: number): Iterable<LogSegment>;
  abstract list(query: ListQuery): { sessions: ListedSession[]; nextCursor?: string };
  abstract census(): Census;
  /** @throws StoreUnavailable where the engine does not answer */
  abstract ping(): void;
  /** How many sessions a subject has. */
  abstract sessionsOf(subject: string): number;
  /** What a subject has used on a day. */
  abstract tokensOf(subject: string, day: string): number;
  /** Sessions with a running or waiting turn. */
  abstract busy(): string[];
  /**
   * Makes a batch durable. Batches that come in the same tick share one transaction.
   * @param patient a few milliseconds more do no harm, and spare a transaction
   * @throws StoreUnavailable (rejects) when the engine refused it: then nothing of the batch was changed
   */
  abstract commit(writes: Write[], patient?: boolean): Promise<void>;
  /**
   * Takes effect at once, for this process; it is durable soon. Nobody waits for that: a bind must not fail on a
   * full disk, and a start takes everyone for detached anyway.
   */
  abstract setPresence(sessionId: string, presence: Presence): void;
  /** Sessions whose events should be put in segments now, so that what holds them singly stays short. */
  abstract unsealed(): string[];
  /**
   * Drops segments sealed before, and ids refused until before, these times (epoch milliseconds), and what was used
   * on days before that one.
   */
  abstract trim(before: { sealedAt: number; refusedUntil: number; day: string }): void;
  abstract close(): Promise<void>;
}
