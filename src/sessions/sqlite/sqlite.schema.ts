import type { DatabaseSync } from 'node:sqlite';

/** `PRAGMA user_version` of the tables below; it rises with each change that an older version cannot read. */
export const SCHEMA_VERSION = 1;
/** `PRAGMA application_id`, 'MOOR': tells this file from any other program's. */
const APPLICATION_ID = 0x4d4f4f52;

/**
 * A session's row keeps apart what is asked for by; the rest of it is JSON. `sealed_seq`: the last event that
 * a segment held. `journal_from`: the first journal row that can be about it and not about an ended session
 * of the same id. With `refused_until` (epoch milliseconds) it ended, and nothing but the id means anything.
 */
const TABLES = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE agents (hash TEXT PRIMARY KEY, json TEXT NOT NULL);

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  subject TEXT,
  agent_id TEXT,
  agent_hash TEXT,
  epoch TEXT,
  seq INTEGER NOT NULL DEFAULT 0,
  sealed_seq INTEGER NOT NULL DEFAULT 0,
  journal_from INTEGER NOT NULL DEFAULT 0,
  updated_at TEXT,
  title TEXT,
  turn TEXT,
  attached INTEGER NOT NULL DEFAULT 0,
  busy INTEGER NOT NULL DEFAULT 0,
  has_message INTEGER NOT NULL DEFAULT 0,
  idle_since INTEGER NOT NULL DEFAULT 0,
  refused_until INTEGER,
  json TEXT
);
CREATE INDEX sessions_newest ON sessions (updated_at, id) WHERE refused_until IS NULL;
CREATE INDEX sessions_of_subject ON sessions (subject, updated_at, id) WHERE subject IS NOT NULL;
CREATE INDEX sessions_attached ON sessions (updated_at, id) WHERE attached = 1;
CREATE INDEX sessions_busy ON sessions (updated_at, id) WHERE busy = 1;
CREATE INDEX sessions_idle ON sessions (has_message, idle_since, id)
  WHERE attached = 0 AND busy = 0 AND refused_until IS NULL;
CREATE INDEX sessions_refused ON sessions (refused_until) WHERE refused_until IS NOT NULL;

CREATE TABLE requests (
  session TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  turn TEXT NOT NULL,
  digest TEXT NOT NULL,
  message TEXT NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (session, kind, id)
) WITHOUT ROWID;
CREATE INDEX requests_by_turn ON requests (session, turn);

CREATE TABLE messages (
  session TEXT NOT NULL,
  position INTEGER NOT NULL,
  id TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  json TEXT NOT NULL,
  UNIQUE (session, position),
  UNIQUE (session, id)
);

CREATE TABLE segments (
  session TEXT NOT NULL,
  from_seq INTEGER NOT NULL,
  to_seq INTEGER NOT NULL,
  sealed_at INTEGER,
  events TEXT NOT NULL
);
CREATE INDEX segments_of_session ON segments (session, to_seq);
CREATE INDEX segments_sealed ON segments (sealed_at) WHERE sealed_at IS NOT NULL;

CREATE TABLE journal (id INTEGER PRIMARY KEY, entries TEXT NOT NULL);

CREATE TABLE purges (session TEXT PRIMARY KEY) WITHOUT ROWID;
`;

/** What came later, and an older version of the gateway does not miss: a file that it made gets it as well. */
const ADDITIONS = `
CREATE TABLE IF NOT EXISTS spendings (
  subject TEXT NOT NULL,
  day TEXT NOT NULL,
  tokens INTEGER NOT NULL,
  PRIMARY KEY (subject, day)
) WITHOUT ROWID;
`;

/**
 * Whether the file holds the tables of this version, or nothing yet.
 * @throws Error for a file of a newer version, or of another program
 */
export function hasSchema(db: DatabaseSync): boolean {
  const version = pragma(db, 'user_version');
  const ours = pragma(db, 'application_id') === APPLICATION_ID;
  if (ours && version === SCHEMA_VERSION) return true;
  if (ours && version > SCHEMA_VERSION) {
    throw new Error(
      `it was written by a newer version of Mooring (its schema is ${version}, this one knows ${SCHEMA_VERSION})`,
    );
  }
  const tables = db.prepare('SELECT count(*) AS count FROM sqlite_schema').get()?.count;
  if (tables !== 0) throw new Error('it holds something else than a store of Mooring');
  return false;
}

export function createSchema(db: DatabaseSync): void {
  db.exec(`
    BEGIN IMMEDIATE;
    ${TABLES}
    ${ADDITIONS}
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${SCHEMA_VERSION};
    COMMIT;
  `);
}

/** For a file that is there already. */
export function completeSchema(db: DatabaseSync): void {
  db.exec(ADDITIONS);
}

function pragma(db: DatabaseSync, name: string): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
}
