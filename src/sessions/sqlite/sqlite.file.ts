import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isNativeError } from 'node:util/types';
import { errorCode, SQLITE } from './sqlite.errors.js';
import { completeSchema, createSchema, hasSchema } from './sqlite.schema.js';

/**
 * How long a commit waits for the checkpointing thread, which holds the write lock only while it truncates.
 */
const BUSY_TIMEOUT_MS = 2_000;
/** Holds the pages of a transaction of several hundred sessions, which otherwise are written twice. */
const CACHE_KIB = 16 * 1024;

export interface SqliteFile {
  path: string;
  db: DatabaseSync;
  /** Closes the file and lets another process have the folder. */
  close(): void;
}

/**
 * Opens `mooring.sqlite` in the folder, which is made if absent, and keeps other processes out of it.
 * @throws Error that names what cannot be used, and why; nothing is ever deleted or mended
 */
export function openSqliteFile(dataDir: string): SqliteFile {
  try {
    mkdirSync(dataDir, { recursive: true });
  } catch (error) {
    throw unusable(dataDir, error);
  }
  const lock = lockFolder(dataDir);
  const path = join(dataDir, 'mooring.sqlite');
  try {
    const db = openDatabase(path);
    return {
      path,
      db,
      close: () => {
        if (db.isOpen) db.close();
        if (lock.isOpen) lock.close();
      },
    };
  } catch (error) {
    lock.close();
    throw unusable(path, error);
  }
}

/** The operating system takes the lock back however the process ends, kill -9 included. */
function lockFolder(dataDir: string): DatabaseSync {
  const path = join(dataDir, 'mooring.lock');
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(path, { timeout: 0 });
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock?.close();
    if (errorCode(error) === SQLITE.busy) {
      throw new Error(`DATA_DIR: ${dataDir} is in use by another process; one gateway has one folder.`, {
        cause: error,
      });
    }
    throw unusable(path, error);
  }
}

function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    // Before anything is changed: a file that is not ours is not turned into a WAL database either.
    const present = hasSchema(db);
    const mode = db.prepare('PRAGMA journal_mode = WAL').get()?.journal_mode;
    if (mode !== 'wal')
      throw new Error(`its file system has no write-ahead log (journal mode ${String(mode)})`);
    db.exec(`
      PRAGMA synchronous = NORMAL;
      PRAGMA wal_autocheckpoint = 0;
      PRAGMA cache_size = -${CACHE_KIB};
      PRAGMA temp_store = MEMORY;
    `);
    if (present) completeSchema(db);
    else createSchema(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** What stops the start, in the words of whoever has to mend it. */
export function unusable(path: string, error: unknown): Error {
  const reason = isNativeError(error) ? error.message : String(error);
  const code = errorCode(error);
  if (code === SQLITE.corrupt || code === SQLITE.notADatabase) {
    return new Error(
      `DATA_DIR: ${path} is damaged (${reason}). It was left as it is: restore it from a backup, or move it away to begin anew.`,
      { cause: error },
    );
  }
  return new Error(`DATA_DIR: ${path} cannot be used: ${reason}.`, { cause: error });
}
