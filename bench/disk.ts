/** Whether the disk under a folder answers: what a virtual machine's host withholds shows itself nowhere else. */
import { readFileSync, statSync } from 'node:fs';

const LOOK_MS = 25;
/** No disk that is there for us takes this long for everything that it was asked. */
const STALL_MS = 100;

/** What a line of `/proc/diskstats` says (Documentation/admin-guide/iostats.rst). */
interface Counters {
  /** Reads, writes, discards and flushes. */
  completed: number;
  inFlight: number;
}

/** Adds up how long a disk had work and completed none of it. */
export class StallMeter {
  #last: (Counters & { at: number }) | undefined;
  /** Of the stall that goes on. */
  #stuckMs = 0;
  #stalledMs = 0;

  /** All stalls of 100 ms and more, in milliseconds. */
  get stalledMs(): number {
    return this.#stalledMs + (this.#stuckMs >= STALL_MS ? this.#stuckMs : 0);
  }

  /**
   * Only what lies between two looks that both found work, and nothing completed between them, is a stall: a
   * look that comes late is none.
   * @param at milliseconds, on a clock that only moves forward
   */
  see(counters: Counters, at: number): void {
    const last = this.#last;
    this.#last = { ...counters, at };
    const isStuck =
      last && last.inFlight > 0 && counters.inFlight > 0 && last.completed === counters.completed;
    if (isStuck) {
      this.#stuckMs += at - last.at;
      return;
    }
    this.#stalledMs = this.stalledMs;
    this.#stuckMs = 0;
  }
}

/** Looks, many times a second, whether the disk has work and completes none of it. */
export class DiskWatch {
  readonly #device: string | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #meter = new StallMeter();

  /** @param folder whose disk is meant; where the system says nothing of it, no stall is found */
  constructor(folder: string) {
    this.#device = deviceOf(folder);
    this.#look();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** All stalls of 100 ms and more, in milliseconds. */
  get stalledMs(): number {
    return this.#meter.stalledMs;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#look();
  }

  #look(): void {
    if (this.#device === undefined) return;
    try {
      const lines = readFileSync('/proc/diskstats', 'utf8').split('\n');
      const counters = countersOf(lines, this.#device);
      if (counters) this.#meter.see(counters, performance.now());
    } catch {
      // Not a Linux: nothing is known of the disk.
    }
  }
}

/** `major minor`, as the lines begin. */
function deviceOf(folder: string): string | undefined {
  try {
    const { dev } = statSync(folder);
    // The encoding of glibc's dev_t, as far as devices go today.
    return `${(dev >> 8) & 0xfff} ${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  } catch {
    return undefined;
  }
}

export function countersOf(lines: readonly string[], device: string): Counters | undefined {
  for (const line of lines) {
    const [major, minor, , ...counters] = line.trim().split(/ +/);
    if (`${major} ${minor}` !== device) continue;
    // Kernels before 5.5 have no flushes, before 4.18 no discards.
    const [reads = 0, , , , writes = 0, , , , inFlight = 0, , , discards = 0, , , , flushes = 0] =
      counters.map(Number);
    return { completed: reads + writes + discards + flushes, inFlight };
  }
  return undefined;
}
