import type { DatabaseSync, StatementSync } from 'node:sqlite';

interface Bounds {
  begin: StatementSync;
  commit: StatementSync;
}
const bounds = new WeakMap<DatabaseSync, Bounds>();

/** Prepared once: parsing them would cost as much as a small transaction. */
function boundsOf(db: DatabaseSync): Bounds {
  const known = bounds.get(db);
  if (known) return known;
  const made = { begin: db.prepare('BEGIN IMMEDIATE'), commit: db.prepare('COMMIT') };
  bounds.set(db, made);
  return made;
}

/** Runs a task in a transaction of its own: all of it is kept, or nothing where it or the commit throws. */
export function transaction<T>(db: DatabaseSync, task: () => T): T {
  const { begin, commit } = boundsOf(db);
  begin.run();
  try {
    const result = task();
    commit.run();
    return result;
  } catch (error) {
    // SQLite itself rolls back for some errors (a full disk among them) and not for others.
    if (db.isOpen && db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}
