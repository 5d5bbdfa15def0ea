import type {
  EventPacket,
  OpenedSession,
  Position,
  SendResult,
  UIMessage,
  ErrorPayload,
} from '../src/protocol.js';
import type { Blow, ModelFault, Plan, SessionPlan } from './plan.ts';

/*
 * What each side wrote down, in its own order. The checker reads nothing else, so that a run that is over can be
 * judged again from its files. Times are milliseconds of one clock, that of the stress run's process.
 */

export type ClientRecord = { at: number } & (
  | { kind: 'opened'; asked?: Position; opened: OpenedSession; tookMs: number }
  | { kind: 'packet'; packet: EventPacket }
  | { kind: 'failed'; error: ErrorPayload }
  | { kind: 'sent'; message: number; copies: number }
  | { kind: 'accepted'; message: number; result: SendResult }
  | { kind: 'refused'; message: number; error: ErrorPayload }
  | { kind: 'gave-up'; message: number }
  | { kind: 'cancelled'; answer: unknown }
  | { kind: 'forgot' }
  | { kind: 'cut'; how: string }
  | { kind: 'disconnected'; reason: string }
  | { kind: 'trespassed'; session: number; request: string; ok: boolean; answer: unknown }
);

/** Of one client; a reader that opened the session afterwards is one as well. */
export interface ClientLedger {
  name: string;
  session: number;
  records: ClientRecord[];
}

/** One request to the model server. */
export interface CallLedger {
  /** Counted for each message. */
  call: number;
  session: number;
  message: number;
  /** 0: the user message is answered; later ones go on after tool calls. */
  step: number;
  at: number;
  prompt: unknown;
  /** What the prompt ended with was unknown to the plan. */
  stray?: string;
  fault?: ModelFault;
  /** Text that was sent, piece by piece. */
  sent: { at: number; text: string }[];
  /** Answered to its regular end. */
  finished?: 'stop' | 'length' | 'tool_calls';
  /** Refused, or its connection broken, before it had sent any content. */
  repeatable?: boolean;
  /** When its connection was closed, or its answer ended. */
  endedAt?: number;
  /** It was closed by the gateway before it had ended. */
  abandoned?: boolean;
}

/** What was done to the gateways' processes and to Redis, as it was done. */
export interface BlowRecord {
  at: number;
  until: number;
  kind: Blow['do'];
  detail: string;
}

/** A session as it is stored in the end. */
export interface StoredSession {
  session: number;
  messages: UIMessage[];
}

/** How the gateway's process was found. */
export interface Health {
  deaths: string[];
  /** What is not as it was before the load, one line each. */
  leftovers: string[];
  notes: string[];
}

export interface Evidence {
  plan: Plan;
  sessions: SessionPlan[];
  clients: ClientLedger[];
  /** Readers that came without a position, or with the first one. */
  readers: ClientLedger[];
  calls: CallLedger[];
  stored: StoredSession[];
  blows: BlowRecord[];
  health: Health;
}

const startedAt = performance.now();

/** Milliseconds since the run began, to a tenth. */
export function now(): number {
  return Math.round((performance.now() - startedAt) * 10) / 10;
}
