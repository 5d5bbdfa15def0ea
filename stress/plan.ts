import { createHash } from 'node:crypto';
import type { WhenBusy } from '../src/protocol.js';
import type { Random } from './random.ts';
import { messageMark, words } from './words.ts';

/*
 * A plan is data, and all that a run does at random stands in it: the same seed, seconds and store give the same
 * plan. What a run adds of its own is only how the machine's threads happen to meet it.
 */

export const STORES = ['sqlite', 'memory', 'redis'] as const;
export type Store = (typeof STORES)[number];
export type Transport = 'websocket' | 'polling' | 'upgrade';
/** What is done to the TCP connection of a client; the proxy says what each means. */
export type Cut = 'reset' | 'fin' | 'vanish' | 'half-open' | 'deaf' | 'stall' | 'mid-frame' | 'slow';

/** What a client does, `at` milliseconds after the phase began. */
export type Act = { at: number } & (
  | { do: 'send'; message: number; text: string; whenBusy: WhenBusy; copies: number }
  | { do: 'cancel' | 'reconnect' | 'reload' }
  | { do: 'cut'; how: Cut; forMs: number }
  | { do: 'trespass'; session: number }
);

export interface ClientPlan {
  name: string;
  transport: Transport;
  acts: Act[];
}

export interface SessionPlan {
  /** Its number within the run, which its texts carry. */
  number: number;
  sessionId: string;
  key: string;
  clients: ClientPlan[];
}

/** What is done to a gateway's process, the first one's where no node is named, or to Redis. */
export type Blow = { at: number } & (
  | { do: 'kill'; node?: number; downMs: number; shiftMs?: number }
  | { do: 'stop'; node?: number; downMs: number }
  | { do: 'fill-disk'; forMs: number }
  | { do: 'move-clock'; shiftMs: number }
  /** SIGSTOP, and SIGCONT later. */
  | { do: 'freeze'; node: number; forMs: number }
  /** Nothing gets through between a node and Redis; what was under way then comes late, or never. */
  | { do: 'cut-off'; node: number; forMs: number; then: 'late' | 'lost' }
  | { do: 'kill-redis'; downMs: number }
  | { do: 'freeze-redis'; forMs: number }
  /** It is started without its data. */
  | { do: 'empty-redis'; downMs: number }
  /** It is started with the data that it had `agoMs` before. */
  | { do: 'older-redis'; agoMs: number; downMs: number }
);

/** Blows after which Redis holds less than was acknowledged. */
export const LOSSES: ReadonlySet<Blow['do']> = new Set(['empty-redis', 'older-redis']);

export const MODEL_FAULTS = [
  'hang',
  'stall',
  'reset',
  'reset-in-character',
  'garble',
  'refuse-429',
  'refuse-500',
  'no-finish',
  'end-early',
] as const;
export type ModelFault = (typeof MODEL_FAULTS)[number];

/** How the model server answers; each answer's own draw is made from the seed when it is asked. */
export interface ModelPlan {
  tokens: [number, number];
  paceMs: [number, number];
  /** Characters that each token is filled up to. */
  tokenLength: number;
  faultRate: number;
  toolRate: number;
}

/** One wave of sessions: played, brought to rest, read and checked. */
export interface Phase {
  seconds: number;
  sessions: SessionPlan[];
  blows: Blow[];
}

export interface Plan {
  scenario: string;
  seed: number;
  store: Store;
  /** How many gateways share the store; with several, each connection of a client goes to the next one. */
  nodes: number;
  env: Record<string, string>;
  model: ModelPlan;
  phases: Phase[];
  /**
   * Whether the end is waited for until nothing is left: a client that vanished is noticed after 20 s, and its TCP
   * connection let go 30 s later. Otherwise only what must be gone at once is looked at.
   */
  patient: boolean;
}

/** What a temper adds to a client's acts. */
export type Temper = (random: Random, durationMs: number) => Act[];

/** Credentials that the seed determines: nobody but this run's own gateway ever accepts them. */
export function credentials(
  seed: number,
  scenario: string,
  session: number,
): { sessionId: string; key: string } {
  const digest = (what: string): string =>
    createHash('sha256').update(`${seed}/${scenario}/${session}/${what}`).digest('hex');
  return { sessionId: digest('id').slice(0, 32), key: digest('key') };
}

/** Sends, evenly spread with some disorder. `first` is the number of the first message. */
export function sends(
  random: Random,
  session: number,
  first: number,
  more: { every: number; durationMs: number; copies?: [number, number]; unruly?: boolean },
): Act[] {
  const acts: Act[] = [];
  for (
    let at = random.int(0, more.every);
    at < more.durationMs;
    at += random.int(more.every / 2, more.every * 1.5)
  ) {
    const message = first + acts.length;
    const [least, most] = more.copies ?? [1, 1];
    acts.push({
      at: Math.round(at),
      do: 'send',
      message,
      text: `${messageMark(session, message)} ${words(random, random.int(1, 12))}`,
      whenBusy: more.unruly
        ? random.pick<WhenBusy>(['enqueue', 'enqueue', 'enqueue', 'interrupt', 'reject'])
        : 'enqueue',
      copies: random.int(least, most),
    });
  }
  return acts;
}

/** One act again and again, at times that lie between two bounds apart. */
export function repeatedly(
  random: Random,
  durationMs: number,
  apart: [number, number],
  make: (at: number) => Act,
): Act[] {
  const acts: Act[] = [];
  for (let at = random.int(...apart); at < durationMs; at += random.int(...apart)) acts.push(make(at));
  return acts;
}
