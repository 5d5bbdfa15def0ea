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

/** Looks, many times a second, whether the disk has work and completes none of it. */
export class DiskWatch {
  readonly #device: string | undefined;
  readonly #timer: NodeJS.Timeout;
  #last: Counters | undefined;
  /** When it last completed something, or had nothing to do. */
  #since = performance.now();
  #stalledMs = 0;

  /** @param folder whose disk is meant; where the system says nothing of it, no stall is found */
  constructor(folder: string) {
    this.#device = deviceOf(folder);
    this.#last = this.#read();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** All stalls of 100 ms and more, added up. */
  get stalledMs(): number {
    return this.#stalledMs;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#look();
    this.#end(performance.now());
  }

  #look(): void {
    const last = this.#last;
    const now = this.#read();
    this.#last = now;
    const isStuck = last && now && now.inFlight > 0 && last.inFlight > 0 && now.completed === last.completed;
    if (!isStuck) this.#end(performance.now());
  }

  #end(now: number): void {
    const stuckMs = now - this.#since;
    if (stuckMs >= STALL_MS) this.#stalledMs += stuckMs;
    this.#since = now;
  }

  #read(): Counters | undefined {
    if (this.#device === undefined) return undefined;
    try {
      const lines = readFileSync('/proc/diskstats', 'utf8').split('\n');
      return countersOf(lines, this.#device);
    } catch {
      return undefined;
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
