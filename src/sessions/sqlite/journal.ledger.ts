/**
 * Which rows of the journal are still needed, and for whose sake. A row holds the events of one transaction,
 * of all sessions; it can go when all of them stand in segments. Constant work a row and a session.
 */
export class JournalLedger {
  /**
   * By session: the first row that holds events of it which no segment has, and the bytes written before
   * that row. In the order of their rows, since a session enters with the newest row.
   */
  readonly #holders = new Map<string, { row: number; before: number }>();
  #written = 0;
  /** What was written before the newest row. */
  #beforeNewest = 0;
  #oldest: number;
  #newest: number;

  /** @param newest the id of the last row that was ever written, which stands alone in the journal */
  constructor(newest: number) {
    this.#newest = newest;
    this.#oldest = newest;
  }

  get next(): number {
    return this.#newest + 1;
  }

  /** A row was written. */
  wrote(bytes: number): void {
    this.#newest += 1;
    this.#beforeNewest = this.#written;
    this.#written += bytes;
  }

  /** The newest row holds events of this session. */
  hold(sessionId: string): void {
    if (this.#holders.has(sessionId)) return;
    this.#holders.set(sessionId, { row: this.#newest, before: this.#beforeNewest });
  }

  /** The session needs the journal no more. */
  release(sessionId: string): void {
    this.#holders.delete(sessionId);
  }

  /**
   * The oldest rows that nobody needs, up to `limit`: ids from `from` on, below `to`; none: undefined. The
   * newest row is never among them, so that ids go on rising after a restart.
   */
  prunable(limit: number): { from: number; to: number } | undefined {
    const [first] = this.#holders.values();
    const from = this.#oldest;
    const to = Math.min(first?.row ?? this.#newest, this.#newest, from + limit);
    return to > from ? { from, to } : undefined;
  }

  /** Rows below `to` were deleted. */
  pruned(to: number): void {
    this.#oldest = Math.max(this.#oldest, to);
  }

  /** Sessions for whose sake more than `bytes` of the journal are kept. */
  overdue(bytes: number): string[] {
    const sessions: string[] = [];
    for (const [sessionId, { before }] of this.#holders) {
      if (this.#written - before <= bytes) break;
      sessions.push(sessionId);
    }
    return sessions;
  }
}
