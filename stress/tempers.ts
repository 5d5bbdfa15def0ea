import { repeatedly, type Act, type Cut, type Temper } from './plan.ts';

/* Tempers of clients, besides the sending: what each does to its own connection, or has done to it. */

const CUTS: readonly Cut[] = ['reset', 'fin', 'vanish', 'half-open', 'deaf', 'stall', 'mid-frame'];

export const steady: Temper = () => [];

/** Comes and goes in bursts of up to fifty within a turn, now by itself, now reset. */
export const flapping: Temper = (random, durationMs) => {
  const acts: Act[] = [];
  for (let at = random.int(100, 600); at < durationMs; at += random.int(800, 2_500)) {
    const times = random.int(5, 50);
    for (let count = 0; count < times && at < durationMs; count += 1, at += random.int(15, 90)) {
      acts.push(random.chance(0.7) ? { at, do: 'reconnect' } : { at, do: 'cut', how: 'reset', forMs: 0 });
    }
  }
  return acts;
};

/** Loses its connection in every way that a network knows. */
export const unlucky: Temper = (random, durationMs) =>
  repeatedly(random, durationMs, [150, 1_500], (at) => ({
    at,
    do: 'cut',
    how: random.pick(CUTS),
    forMs: random.int(50, 1_200),
  }));

/** Goes without a word: no FIN, no RST, nothing that the gateway could see. */
export const vanishing: Temper = (random, durationMs) =>
  repeatedly(random, durationMs, [400, 2_000], (at) => ({ at, do: 'cut', how: 'vanish', forMs: 0 }));

/** Reads nothing for seconds, again and again. */
export const slow: Temper = (random, durationMs) =>
  repeatedly(random, durationMs, [100, 1_500], (at) => ({
    at,
    do: 'cut',
    how: 'slow',
    forMs: random.int(500, 3_000),
  }));

/** Changes its mind. */
export const fickle: Temper = (random, durationMs) =>
  repeatedly(random, durationMs, [500, 2_500], (at) => ({ at, do: 'cancel' }));

/** Loses all that it holds, as a page that is loaded again. */
export const forgetful: Temper = (random, durationMs) =>
  repeatedly(random, durationMs, [600, 2_500], (at) => ({ at, do: 'reload' }));

/** Tries the keys of others on their doors. */
export function trespassing(sessions: readonly number[]): Temper {
  return (random, durationMs) =>
    repeatedly(random, durationMs, [400, 2_000], (at) => ({
      at,
      do: 'trespass',
      session: random.pick(sessions),
    }));
}
