import type { Position, SessionPresence, TurnState, UIMessage, Usage } from '../protocol.js';

/*
 * What the admin API answers with. `GET /admin/openapi.json` is generated from these types, and the console reads
 * by them: this file is types only.
 */

export interface AdminSession {
  sessionId: string;
  /** The agent's id. */
  agent: string;
  state: SessionPresence;
  sockets: number;
  /** The running turn's id. */
  turn: string | null;
  /** ISO 8601. */
  lastActiveAt: string;
  /** ISO 8601; null where what is stored of the session cannot be read. */
  createdAt: string | null;
  /** Bytes that its sockets were given and have not taken. */
  unsentBytes: number;
  /** What its turns have used, those withdrawn and the steps of the running one included; null: nothing yet. */
  tokens: Usage | null;
}

export interface AdminSessions {
  sessions: AdminSession[];
  /** Where the next page begins; absent on the last one. */
  nextCursor?: string;
}

export interface AdminTurn {
  turnId: string;
  /** The user message's id. */
  messageId: string;
  state: Extract<TurnState, 'running' | 'queued'>;
  /** How long it has been running here, milliseconds. */
  runningMs?: number;
  /** What its steps that ended have used. */
  tokens?: Usage;
}

export interface AdminSocket {
  /** live: sent at once. reading: catching up from the log. held: it holds too much unsent to be sent more. */
  state: 'live' | 'reading' | 'held';
  /** How many events of the session it was not sent yet. */
  behind: number;
  unsentBytes: number;
}

export interface AdminSessionDetail extends AdminSession {
  /** The running turn first, then those that wait. */
  turns: AdminTurn[];
  connections: AdminSocket[];
  position: Position;
  /** `key`: whoever holds the session's key. `subject`: a token's. */
  owner: { kind: 'key' } | { kind: 'subject'; sub: string };
  /** All that was said; only when it is asked for, which the audit log notes. */
  messages?: UIMessage[];
}

/** Per second, over the last ten seconds. */
export interface AdminRates {
  turns: number;
  events: number;
  droppedSends: number;
  resumes: number;
  tokens: number;
}

/** Counters begin with the process. */
export interface AdminStats {
  /** When this was read, epoch milliseconds. */
  at: number;
  node: { version: string; pid: number; uptimeMs: number; draining: boolean };
  /** By state; null where the store is out of reach. */
  sessions: Record<SessionPresence, number> | null;
  /** Open Socket.IO sockets. */
  sockets: number;
  /** Turns that run now. */
  streams: number;
  /** Sessions of this node with an open turn and no socket, now. */
  orphans: number;
  /** Sessions whose turns were ended because nobody had watched them for too long. */
  orphansEnded: number;
  /** Bytes that all bound sockets were given and have not taken. */
  unsentBytes: number;
  turns: { completed: number; cancelled: number; interrupted: number; failed: number };
  events: { appended: number; sent: number };
  /** Events that were recorded while no socket was bound. */
  droppedSends: number;
  /** Times a socket that fell behind was served from the log. */
  catchUps: number;
  /** Sessions that were made, and resumes: replayed is exactly what was missed. */
  opens: { created: number; replayed: number; snapshot: number };
  sessionsExpired: number;
  tokens: { input: number; output: number };
  rates: AdminRates;
  /** The longest that anything had to wait for its turn in the last two to four seconds. */
  eventLoopDelayMs: number;
  /** Bytes. */
  memory: { rss: number; heapUsed: number };
}

/** One point of the charts. */
export interface AdminSample {
  /** Epoch milliseconds. */
  at: number;
  streams: number;
  orphans: number;
  /** Per second since the point before. */
  droppedSends: number;
  /** Per second since the point before. */
  resumes: number;
}

export interface AdminHistory {
  everyMs: number;
  /** The oldest first; up to five minutes of them. */
  samples: AdminSample[];
}

export interface AdminDraining {
  draining: true;
  /** How long running turns may go on, milliseconds. */
  timeoutMs: number;
}

/** Of every refusal but that of a missing or wrong token, which is a path that is not there. */
export interface AdminError {
  error: {
    code: string;
    message: string;
    retryable: boolean;
    issues?: { path: string; message: string }[];
  };
}
