import { runInThisContext } from 'node:vm';
import { Random } from '../../stress/random.js';

/** A seed of your own repeats a run: `FUZZ_SEED=7 npm run fuzz -- test/fuzz-frames`. */
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() & 0x7fffffff);
/** Only this case: what surrounds it is then another, so that few failures need more than this to show again. */
const ONLY = process.env['FUZZ_CASE'] === undefined ? undefined : Number(process.env['FUZZ_CASE']);
const SHOWN_FAILURES = 5;

/** Not one case alone. */
export const ALL = ONLY === undefined;

/** With `FUZZ=whole` all cases are run, else a tenth or so, as `npm test` has no time for more. */
export const WHOLE = process.env['FUZZ'] === 'whole';

/** Seeded chance: the same seed makes the same choices. */
export class Dice extends Random {
  times<T>(from: number, to: number, make: (index: number) => T): T[] {
    return Array.from({ length: this.int(from, to) }, (_, index) => make(index));
  }

  bytes(length: number): Buffer<ArrayBuffer> {
    return Buffer.from(Array.from({ length }, () => this.int(0, 255)));
  }

  letters(length: number): string {
    return Array.from({ length }, () =>
      this.pick([...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789_-']),
    ).join('');
  }

  /** A few pieces of the same whole, cut anywhere. */
  cuts(whole: Buffer, most: number): Buffer[] {
    const places = this.times(0, most, () => this.int(0, whole.length)).sort((a, b) => a - b);
    return [...places, whole.length].map((to, index) => whole.subarray(places[index - 1] ?? 0, to));
  }
}

interface Amount {
  /** What `npm test` runs. */
  quick: number;
  whole: number;
  /** How many run side by side. */
  atOnce: number;
}

/**
 * Runs a case after another, each on dice of its own.
 * @returns how many were run
 * @throws Error that names the seed and the numbers of the cases that failed
 */
export async function fuzz(
  { quick, whole, atOnce }: Amount,
  run: (dice: Dice, index: number) => Promise<void>,
): Promise<number> {
  const count = WHOLE ? whole : quick;
  const failures: string[] = [];
  let next = ONLY ?? 0;
  const end = ONLY === undefined ? count : ONLY + 1;
  const work = async (): Promise<void> => {
    while (next < end && failures.length < SHOWN_FAILURES) {
      const index = next;
      next += 1;
      try {
        await run(new Dice(Math.imul(SEED ^ 0x9e3779b9, index + 1) ^ SEED), index);
      } catch (error) {
        failures.push(
          `case ${index}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        );
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  if (failures.length > 0) {
    throw new Error(`FUZZ_SEED=${SEED}${WHOLE ? ' FUZZ=whole' : ''}\n${failures.join('\n\n')}`);
  }
  return end - (ONLY ?? 0);
}

/**
 * What nobody caught while it watches. Under jest `process` is a copy that hears nothing, so the real one is asked
 * for.
 */
export class ProcessWatch {
  readonly complaints: string[] = [];
  readonly #process = runInThisContext('process') as NodeJS.Process;
  readonly #onRejection = (reason: unknown): void => this.#complain('unhandled rejection', reason);
  readonly #onException = (error: unknown): void => this.#complain('uncaught exception', error);

  constructor() {
    this.#process.on('unhandledRejection', this.#onRejection);
    this.#process.on('uncaughtException', this.#onException);
  }

  stop(): void {
    this.#process.off('unhandledRejection', this.#onRejection);
    this.#process.off('uncaughtException', this.#onException);
  }

  #complain(what: string, error: unknown): void {
    this.complaints.push(`${what}: ${error instanceof Error ? error.stack : String(error)}`);
  }
}
