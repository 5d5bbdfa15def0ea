import { Injectable } from '@nestjs/common';
import { Config } from '../config.js';
import { Distribution } from './distribution.js';

/**
 * How many streams a tick takes, about. All at once would hold up the event loop, and with it the first words of
 * other answers; one by one would cost a transaction and a wake-up each.
 */
const STREAMS_A_TICK = 64;
const MOST_TICKS = 8;
/** What one turn of the event loop takes of them, and with it one transaction, at most. */
const FLUSHES_AT_ONCE = 32;

interface Tick {
  /** When, on the monotonic clock; milliseconds. */
  at: number;
  reads: (() => void)[];
  flushes: Set<() => void>;
}

/**
 * When streams read and flush. What falls into one tick is done together, so that one transaction of the store
 * holds the flush of many sessions. A flush interval has one tick or, with many streams, several. Timers run
 * only while something is waited for.
 */
@Injectable()
export class FlushClock {
  /** Seconds by which ticks came late: what else the event loop had to do. */
  readonly lateness = new Distribution([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]);
  #ticks: Tick[] = [];
  /** The one whose reads have begun and whose flushes have not. */
  #present?: Tick;
  /** When the newest tick was to begin. Timers know whole milliseconds only, and may be early. */
  #reached = -Infinity;

  constructor(private readonly config: Config) {}

  /** Calls `flush` at most one flush interval from now; once, however often it is asked meanwhile. */
  request(flush: () => void): void {
    if (this.#present) this.#present.flushes.add(flush);
    else if (!this.#ticks.some(({ flushes }) => flushes.has(flush))) this.#next().flushes.add(flush);
  }

  /**
   * Calls `read` at most one flush interval from now, in time for what comes by it to be flushed with it: a
   * socket on which it begins to read is read before.
   */
  beforeFlush(read: () => void): void {
    this.#next().reads.push(read);
  }

  forget(flush: () => void): void {
    this.#present?.flushes.delete(flush);
    for (const { flushes } of this.#ticks) flushes.delete(flush);
  }

  /** Of ticks at even distances on the clock the last within a flush interval; an earlier one if that is crowded. */
  #next(): Tick {
    const { flushIntervalMs } = this.config;
    // Asked within a tick that is early, the next one is an interval away, and not one tick less.
    const now = Math.max(performance.now(), this.#reached);
    const streams = this.#ticks.reduce((sum, tick) => sum + sizeOf(tick), 1);
    const ticks = Math.min(MOST_TICKS, Math.ceil(streams / STREAMS_A_TICK));
    const crowd = 2 * Math.max(STREAMS_A_TICK, streams / ticks);
    const distance = flushIntervalMs / ticks;
    const last = distance > 0 ? Math.floor((now + flushIntervalMs) / distance) : 0;
    for (let number = last; ; number -= 1) {
      const at = number * distance;
      const present = this.#ticks.find((tick) => Math.abs(tick.at - at) < 1);
      if (!present) return this.#make(at);
      if (sizeOf(present) < crowd || number <= last - ticks + 1) return present;
    }
  }

  #make(at: number): Tick {
    const tick: Tick = { at, reads: [], flushes: new Set() };
    this.#ticks.push(tick);
    // A stop does not wait for it: the end of a turn flushes by itself.
    setTimeout(() => this.#read(tick), Math.ceil(at - performance.now())).unref();
    return tick;
  }

  #read(tick: Tick): void {
    this.lateness.add(Math.max(0, performance.now() - tick.at) / 1_000);
    this.#ticks = this.#ticks.filter((each) => each !== tick);
    this.#reached = tick.at;
    if (tick.reads.length === 0) return this.#flush(tick);
    this.#present = tick;
    for (const read of tick.reads) read();
    // Sockets are read between timers and immediates.
    setImmediate(() => this.#flush(tick));
  }

  /** In equal shares, so that sockets are read in between. */
  #flush(tick: Tick): void {
    if (this.#present === tick) this.#present = undefined;
    const { size } = tick.flushes;
    let left = Math.ceil(size / Math.ceil(size / FLUSHES_AT_ONCE));
    for (const flush of tick.flushes) {
      if (left === 0) return void setImmediate(() => this.#flush(tick));
      left -= 1;
      tick.flushes.delete(flush);
      flush();
    }
  }
}

function sizeOf({ reads, flushes }: Tick): number {
  return Math.max(reads.length, flushes.size);
}
