import type { AdminRates, AdminSample } from './admin.api.js';

/** What only grows. */
export type Counters = Record<keyof AdminRates, number>;

export interface Observation {
  /** Milliseconds of a clock that only moves forward. */
  at: number;
  streams: number;
  orphans: number;
  counters: Counters;
}

const RATES = ['turns', 'events', 'droppedSends', 'resumes', 'tokens'] as const;

/** The latest observations of a node, and what happened a second between them. */
export class StatsHistory {
  readonly #observations: Observation[] = [];

  /** @param capacity how many are kept */
  constructor(private readonly capacity: number) {}

  add(observation: Observation): void {
    this.#observations.push(observation);
    // A sample tells of the time since the one before: one more than there are samples.
    if (this.#observations.length > this.capacity + 1) this.#observations.shift();
  }

  samples(): AdminSample[] {
    return this.#observations.slice(1).map((now, index) => {
      const before = this.#observations[index] ?? now;
      const { droppedSends, resumes } = ratesBetween(before, now);
      const { at, streams, orphans } = now;
      return { at, streams, orphans, droppedSends, resumes };
    });
  }

  /** Per second, from the oldest observation of the last `windowMs` until `now`. */
  rates(now: Observation, windowMs: number): AdminRates {
    const since = this.#observations.find(({ at }) => at >= now.at - windowMs);
    return ratesBetween(since ?? now, now);
  }
}

function ratesBetween(before: Observation, after: Observation): AdminRates {
  const seconds = (after.at - before.at) / 1_000;
  const entries = RATES.map((name) => {
    const more = after.counters[name] - before.counters[name];
    return [name, seconds > 0 ? Math.round((more / seconds) * 100) / 100 : 0];
  });
  return Object.fromEntries(entries) as Record<keyof AdminRates, number>;
}
