import type { Blow, ModelPlan, Store, Temper, Transport } from './plan.ts';
import type { Random } from './random.ts';

/** What is particular to a scenario; all else is made from the seed. */
export interface Scenario {
  says: string;
  /** Stores that it can be played on, the one that is meant first; all by default. */
  on?: readonly Store[];
  /** How many gateways share the store, where it is one that can be shared. */
  nodes?: number;
  env?: Record<string, string>;
  model?: Partial<ModelPlan>;
  sessions: number;
  /** Phases of equal length; with several, the heap must not grow from the first to the last. */
  phases?: number;
  /** Whether it is waited until the gateway has noticed all who vanished. */
  patient?: boolean;
  transports?: Transport[];
  /** Each session's clients: one a temper, the first being the session's main sender. */
  casts: Temper[][];
  sendEveryMs: number;
  copies?: [number, number];
  unruly?: boolean;
  trespass?: boolean;
  blows?: (random: Random, durationMs: number) => Blow[];
}

/** Blows so far apart, in milliseconds. */
export function spread(
  random: Random,
  durationMs: number,
  apart: [number, number],
  make: (at: number) => Blow,
): Blow[] {
  const blows: Blow[] = [];
  // The first one comes early, so that a short run has one as well.
  const first = Math.min(random.int(...apart), durationMs / 2);
  for (let at = first; at < durationMs; at += random.int(...apart)) blows.push(make(Math.round(at)));
  return blows;
}
