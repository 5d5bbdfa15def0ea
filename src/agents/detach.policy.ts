import { Injectable } from '@nestjs/common';
import { Config } from '../config.js';

/** How long a turn may go on while nobody watches. */
@Injectable()
export class DetachPolicy {
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(private readonly config: Config) {}

  /** Calls `end` when the session has been detached for too long, counted from the first call, or after that time. */
  watch(sessionId: string, end: () => void, afterMs = this.limitMs): void {
    if (this.#timers.has(sessionId)) return;
    const timer = setTimeout(end, afterMs);
    timer.unref();
    this.#timers.set(sessionId, timer);
  }

  /** Somebody came back, or nothing runs any more. */
  forget(sessionId: string): void {
    clearTimeout(this.#timers.get(sessionId));
    this.#timers.delete(sessionId);
  }

  /** How long that is. */
  get limitMs(): number {
    const { detachPolicy, detachGraceMs, detachedTurnLimitMs } = this.config;
    return detachPolicy === 'interrupt' ? Math.min(detachGraceMs, detachedTurnLimitMs) : detachedTurnLimitMs;
  }
}
