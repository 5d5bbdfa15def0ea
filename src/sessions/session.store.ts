import type {
  EventPacket,
  LogEntry,
  OpenTurn,
  Position,
  SessionEvent,
  SessionPresence,
  UIMessage,
  Usage,
} from '../protocol.js';
import type { Command, Outcome } from './session.command.js';
import type { Owner, Session, TurnEnd } from './session.js';
import type { PinnedAgent } from './pinned-agent.js';

/** What a session is made with. */
export interface NewSession {
  owner: Owner;
  /** How many sessions that owner may have, this one included, where it is a token's subject. */
  ownersLimit?: number;
  agent: PinnedAgent;
  metadata?: Record<string, unknown>;
}

export interface FoundSession {
  session: Session;
  created: boolean;
  /** Since when it is detached and idle, epoch milliseconds; undefined while attached or busy. */
  idleSince?: number;
}

/** What a client that was at a position, or at none, needs in order to be at `position`. */
export interface Reading {
  position: Position;
  agent: PinnedAgent;
  turns: OpenTurn[];
  /** True: `events` are exactly those after the given position up to this one, and `messages` is empty. */
  recovered: boolean;
  /** The log goes on after `position`: there was more than is read at once. */
  rest: boolean;
  messages: UIMessage[];
  hasMore: boolean;
  events: SessionEvent[];
}

export type Appended = { kind: 'appended'; packet: EventPacket } | { kind: 'deposed' };

export interface MessageQuery {
  before?: string;
  limit: number;
  maxBytes?: number;
  begun?: true;
}

/** A page of the transcript, oldest first. */
export interface MessagePage {
  messages: UIMessage[];
  hasMore: boolean;
}

export interface ListedSession {
  sessionId: string;
  agent: string;
  title: string;
  attached: boolean;
  busy: boolean;
  /** The running turn's id. */
  turn?: string;
  /** ISO 8601. */
  updatedAt: string;
  /** ISO 8601; absent where what is stored of it cannot be read. */
  createdAt?: string;
  /** What its turns that ended have used. */
  used?: Usage;
}

export type Census = Record<SessionPresence, number>;

export interface ListQuery {
  /** Only this subject's sessions, newest first. */
  subject?: string;
  state?: 'attached' | 'detached' | 'orphaned';
  /** Only sessions that were detached and idle before these times, epoch milliseconds. */
  idleBefore?: { withMessages: number; empty: number };
  limit: number;
  cursor?: string;
}

/**
 * Where sessions live: the record, its transcript and its log, which live and die together. Every method
 * rejects with {@link StoreUnavailable} when the engine is out of reach; nothing was changed then.
 */
export abstract class SessionStore {
  /** Appends that the engine did not take, and that the store tries again by itself: whoever asked for them waits. */
  get repeatedAppends(): number {
    return 0;
  }

  /**
   * Finds a session, or makes it where `create` is given and the id was never used; undefined: no such session.
   * @param create is asked only when a session is made; what it throws is thrown
   * @throws RequestError `too_many_sessions`: the owner has as many as it may
   */
  abstract open(sessionId: string, create?: () => NewSession): Promise<FoundSession | undefined>;

  /** Decides a command and makes what it changes durable, in one step. */
  abstract accept(sessionId: string, command: Command): Promise<Outcome>;

  /**
   * Appends to the running turn's log under the turn's fence; with `end`, ends the turn and stores its
   * answer in the same step. When it resolves, the events are durable and their seqs are given.
   */
  abstract append(sessionId: string, fence: number, entries: LogEntry[], end?: TurnEnd): Promise<Appended>;

  /** Reads what a client at `position` lacks; undefined: no such session. */
  abstract read(sessionId: string, position?: Position): Promise<Reading | undefined>;

  /**
   * The stored messages just before message `before` (default: the newest), at most `limit` and, beyond
   * the first, `maxBytes` of JSON; undefined: `before` is not among them. Waiting messages are the newest;
   * with `begun` they are left out.
   */
  abstract messages(sessionId: string, page: MessageQuery): Promise<MessagePage | undefined>;

  /** How many sessions there are, by their state: a reading for operators, whose cost grows with their number. */
  abstract census(): Promise<Census>;

  /** A sign of life of the engine, at the same cost whatever it holds. Rejects where it gives none. */
  abstract ping(): Promise<void>;

  abstract list(query: ListQuery): Promise<{ sessions: ListedSession[]; nextCursor?: string }>;
}

/** What the ports stand on: closed last, when nothing reads or writes any more. */
export abstract class StoreEngine {
  abstract close(): Promise<void>;
}

/** The engine did not take the write or did not answer; the same call may succeed later. */
export class StoreUnavailable extends Error {
  constructor(cause: unknown) {
    super(`The session store is unavailable: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
    this.name = 'StoreUnavailable';
  }
}

/**
 * What is stored of a session cannot be read: it was damaged, or something else wrote it. Asking again cannot help,
 * and other sessions are not concerned.
 */
export class SessionDamaged extends Error {
  constructor(row: string, cause?: unknown) {
    super(`A stored ${row} cannot be read.`, { cause });
    this.name = 'SessionDamaged';
  }
}

export function presenceOf({ attached, busy }: { attached: boolean; busy: boolean }): SessionPresence {
  if (attached) return 'attached';
  return busy ? 'orphaned' : 'detached';
}
