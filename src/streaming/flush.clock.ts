import { Injectable } from '@nestjs/common';
import { Config } from '../config.js';

/**
 * One timer for all streams: deltas that were gathered are flushed together, so that one transaction of the
 * store holds the flush of every session. It runs only while something is gathered.
 */
@Injectable()
export class FlushClock {
  #due = new Set<() => void>();
  #ticking = false;

  constructor(private readonly config: Config) {}

  /** Calls `flush` at the next tick, at most one flush interval from now; once, however often it is asked. */
  request(flush: () => void): void {
    this.#due.add(flush);
    if (this.#ticking) return;
    this.#ticking = true;
    // A stop does not wait for it: the end of a turn flushes by itself.
    setTimeout(() => this.#tick(), this.config.flushIntervalMs).unref();
  }

  forget(flush: () => void): void {
    this.#due.delete(flush);
  }

  #tick(): void {
    const due = this.#due;
    this.#due = new Set();
    this.#ticking = false;
    for (const flush of due) flush();
  }
}
