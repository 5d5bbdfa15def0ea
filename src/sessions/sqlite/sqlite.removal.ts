import type { DatabaseSync } from 'node:sqlite';
import { one } from './sqlite.rows.js';

/** Rows of each table deleted at once: a few milliseconds, also where each fills pages of its own. */
const MESSAGES = 256;
const REQUESTS = 512;
const SEGMENTS = 16;

/**
 * Deletes what an ended session leaves: most of them at once, a long one piece by piece, so that nobody else
 * waits for it. Each method runs within a transaction of the caller's.
 */
export class SqliteRemoval {
  readonly #messages;
  readonly #requests;
  readonly #segments;
  readonly #enqueue;
  readonly #next;
  readonly #dequeue;

  constructor(db: DatabaseSync) {
    this.#messages = db.prepare(
      'DELETE FROM messages WHERE rowid IN (SELECT rowid FROM messages WHERE session = ? LIMIT ?)',
    );
    this.#requests = db.prepare(`
      DELETE FROM requests WHERE (session, kind, id) IN
        (SELECT session, kind, id FROM requests WHERE session = ? LIMIT ?)`);
    this.#segments = db.prepare(
      'DELETE FROM segments WHERE rowid IN (SELECT rowid FROM segments WHERE session = ? LIMIT ?)',
    );
    this.#enqueue = db.prepare('INSERT OR IGNORE INTO purges (session) VALUES (?)');
    this.#next = db.prepare('SELECT session FROM purges LIMIT 1');
    this.#dequeue = db.prepare('DELETE FROM purges WHERE session = ?');
  }

  begin(sessionId: string): void {
    if (!this.#piece(sessionId)) this.#enqueue.run(sessionId);
  }

  /** Goes on with what is left of any session; false: nothing is. */
  goOn(): boolean {
    const next = one<{ session: string }>(this.#next);
    if (next && this.#piece(next.session)) this.#dequeue.run(next.session);
    return next !== undefined;
  }

  /** True when nothing of the session is left. */
  #piece(sessionId: string): boolean {
    const messages = this.#messages.run(sessionId, MESSAGES).changes;
    const requests = this.#requests.run(sessionId, REQUESTS).changes;
    const segments = this.#segments.run(sessionId, SEGMENTS).changes;
    return messages < MESSAGES && requests < REQUESTS && segments < SEGMENTS;
  }
}
