import type { DatabaseSync } from 'node:sqlite';
import type { JournalLedger } from './journal.ledger.js';
import { SqliteRemoval } from './sqlite.removal.js';
import { transaction } from './sqlite.transaction.js';

/** Rows deleted at once: about two milliseconds, which is what others may wait for it. */
const SEGMENTS = 16;
const REFUSED_IDS = 512;
const JOURNAL_ROWS = 16;
const SPENDINGS = 512;
/** Between two pieces, so that deleting takes a tenth of the time at most. */
const PAUSE_MS = 20;

/** Deletes what nobody can ask for any more, in small pieces beside the work. */
export class Housekeeping {
  readonly #segments;
  readonly #refused;
  readonly #spendings;
  readonly #journal;
  readonly #removal;
  #before = { sealedAt: 0, refusedUntil: 0, day: '' };
  #timer?: NodeJS.Timeout;

  constructor(
    private readonly db: DatabaseSync,
    private readonly ledger: JournalLedger,
  ) {
    this.#segments = db.prepare(`
      DELETE FROM segments WHERE rowid IN (SELECT rowid FROM segments WHERE sealed_at < ? LIMIT ${SEGMENTS})`);
    // An id whose rows are still being deleted stays refused: a new session must not find them.
    this.#refused = db.prepare(`
      DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE refused_until < ? AND id NOT IN (SELECT session FROM purges)
        LIMIT ${REFUSED_IDS})`);
    this.#spendings = db.prepare(`
      DELETE FROM spendings WHERE (subject, day) IN (
        SELECT subject, day FROM spendings WHERE day < ? LIMIT ${SPENDINGS})`);
    this.#journal = db.prepare('DELETE FROM journal WHERE id >= ? AND id < ?');
    this.#removal = new SqliteRemoval(db);
  }

  /** Does the first piece now, the others on timers. Times are epoch milliseconds; `day` is ISO 8601. */
  trim(before: { sealedAt: number; refusedUntil: number; day: string }): void {
    this.stop();
    this.#before = before;
    if (this.#piece()) this.#goOnLater();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #goOnLater(): void {
    this.#timer = setTimeout(() => {
      try {
        if (this.#piece()) this.#goOnLater();
      } catch {
        // A full disk, most likely: the next trim begins again, and tells.
      }
    }, PAUSE_MS).unref();
  }

  /** True where something may be left to do. */
  #piece(): boolean {
    const { sealedAt, refusedUntil, day } = this.#before;
    const rows = this.ledger.prunable(JOURNAL_ROWS);
    const more = transaction(this.db, () => {
      const segments = this.#segments.run(sealedAt).changes;
      const refused = this.#refused.run(refusedUntil).changes;
      const spendings = this.#spendings.run(day).changes;
      const removed = this.#removal.goOn();
      if (rows) this.#journal.run(rows.from, rows.to);
      return (
        segments === SEGMENTS ||
        refused === REFUSED_IDS ||
        spendings === SPENDINGS ||
        removed ||
        rows !== undefined
      );
    });
    if (rows) this.ledger.pruned(rows.to);
    return more;
  }
}
