/** Admits bursts up to its capacity, and on average what flows back in. */
export class TokenBucket {
  #tokens: number;
  #at: number;

  /**
   * @param perMinute how many tokens flow back in a minute
   * @param now milliseconds of a monotonic clock
   */
  constructor(
    private readonly capacity: number,
    private readonly perMinute: number,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#tokens = capacity;
    this.#at = now();
  }

  /** Takes one token; otherwise says after how many milliseconds there will be one. */
  take(): { ok: true } | { ok: false; retryAfterMs: number } {
    const now = this.now();
    const perMs = this.perMinute / 60_000;
    this.#tokens = Math.min(this.capacity, this.#tokens + (now - this.#at) * perMs);
    this.#at = now;
    if (this.#tokens < 1) return { ok: false, retryAfterMs: Math.ceil((1 - this.#tokens) / perMs) };
    this.#tokens -= 1;
    return { ok: true };
  }
}
