import type { DatabaseSync } from 'node:sqlite';

/** Runs a task in a transaction of its own: all of it is kept, or nothing where it or the commit throws. */
export function transaction<T>(db: DatabaseSync, task: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = task();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // SQLite itself rolls back for some errors (a full disk among them) and not for others.
    if (db.isOpen && db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}
