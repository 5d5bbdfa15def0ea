import { Injectable } from '@nestjs/common';

/**
 * Wall-clock time that only moves forward: the time at which the process started plus what a monotonic
 * clock has counted since. A system clock that is set back or forward while the process runs therefore
 * expires nothing early and keeps nothing for ever.
 */
@Injectable()
export class Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number {
    return Math.round(performance.timeOrigin + performance.now());
  }

  /** ISO 8601, in UTC, with milliseconds. */
  iso(): string {
    return new Date(this.now()).toISOString();
  }
}
