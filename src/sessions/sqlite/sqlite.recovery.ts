import type { DatabaseSync } from 'node:sqlite';
import type { SessionEvent } from '../../protocol.js';
import { segmentsOf } from '../embedded/log.segments.js';
import { isSameBoot } from './boot.id.js';
import { all, one } from './sqlite.rows.js';
import { transaction } from './sqlite.transaction.js';
import type { JournalEntry } from './sqlite.writer.js';

export interface Recovery {
  /** Epoch milliseconds. */
  now: number;
  bootId: string;
}

/** A session as the journal finds it, and what it adds to its log. */
interface Tail {
  running: boolean;
  sealedSeq: number;
  journalFrom: number;
  events: SessionEvent[];
}

/**
 * Brings the tables to where the last process was, in one transaction: events that only the journal holds
 * become segments, everyone is detached, and where the machine itself stopped without warning, so that the
 * last commits may be missing, every session begins a new epoch.
 * @returns the id of the newest row of the journal, which is empty then
 */
export function recover(db: DatabaseSync, { now, bootId }: Recovery): number {
  const newest = transaction(db, () => {
    const powerLoss = readMeta(db, 'clean') === 'no' && !isSameBoot(readMeta(db, 'boot') ?? '', bootId);
    replayJournal(db, now);
    if (powerLoss) db.exec(`UPDATE sessions SET epoch = ${NEW_EPOCH} WHERE refused_until IS NULL`);
    // Two statements, each with an index of its own: of a million sessions few are meant.
    db.prepare('UPDATE sessions SET attached = 0, idle_since = ? WHERE attached = 1').run(now);
    db.prepare('UPDATE sessions SET idle_since = ? WHERE busy = 1').run(now);
    writeMeta(db, 'boot', bootId);
    writeMeta(db, 'clean', 'no');
    return clearJournal(db);
  });
  // Synced before anything else is written: a power loss from here on must find that mark.
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  return newest;
}

const NEW_EPOCH = 'lower(hex(randomblob(6)))';

/** All that was committed is with the disk: what the next process finds is all there was. */
export function markClean(db: DatabaseSync): void {
  // First what was written, then the mark: never the mark alone.
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  writeMeta(db, 'clean', 'yes');
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
}

function replayJournal(db: DatabaseSync, now: number): void {
  const tails = new Map<string, Tail | undefined>();
  const find = db.prepare(`
    SELECT turn IS NOT NULL AS running, sealed_seq AS sealedSeq, journal_from AS journalFrom
    FROM sessions WHERE id = ? AND refused_until IS NULL`);
  const read = (sessionId: string): Tail | undefined => {
    const row = one<Omit<Tail, 'running' | 'events'> & { running: number }>(find, sessionId);
    return row && { ...row, running: row.running === 1, events: [] };
  };
  for (const row of db.prepare('SELECT id, entries FROM journal ORDER BY id').iterate()) {
    for (const [sessionId, events] of JSON.parse(String(row.entries)) as JournalEntry[]) {
      if (!tails.has(sessionId)) tails.set(sessionId, read(sessionId));
      const tail = tails.get(sessionId);
      if (tail && Number(row.id) >= tail.journalFrom) extend(tail, events);
    }
  }
  putSegments(db, tails, now);
}

/** Adds what follows without a gap. */
function extend(tail: Tail, events: SessionEvent[]): void {
  for (const event of events) {
    if (event.seq === tail.sealedSeq + tail.events.length + 1) tail.events.push(event);
  }
}

function putSegments(db: DatabaseSync, tails: ReadonlyMap<string, Tail | undefined>, now: number): void {
  const put = db.prepare(
    'INSERT INTO segments (session, from_seq, to_seq, sealed_at, events) VALUES (?, ?, ?, ?, ?)',
  );
  const seal = db.prepare('UPDATE segments SET sealed_at = ? WHERE session = ? AND sealed_at IS NULL');
  const reach = db.prepare('UPDATE sessions SET seq = max(seq, ?), sealed_seq = ? WHERE id = ?');
  const renew = db.prepare(
    `UPDATE sessions SET epoch = ${NEW_EPOCH}, sealed_seq = seq WHERE id = ? AND sealed_seq <> seq`,
  );
  for (const [sessionId, tail] of tails) {
    if (!tail) continue;
    if (tail.events.length > 0) {
      for (const { from, to, events } of segmentsOf(tail.sealedSeq, tail.events, now))
        put.run(sessionId, from, to, tail.running ? null : now, JSON.stringify(events));
      if (!tail.running) seal.run(now, sessionId);
      const reached = tail.sealedSeq + tail.events.length;
      reach.run(reached, reached, sessionId);
    }
    // Events are missing, against all expectation: what there is does not lead up to the session's seq.
    renew.run(sessionId);
  }
}

/** Ids of rows only rise, over all processes: the newest stays, as an empty row. */
function clearJournal(db: DatabaseSync): number {
  const row = one<{ newest: number | null }>(db.prepare('SELECT max(id) AS newest FROM journal'));
  const newest = (row?.newest ?? 0) + 1;
  db.exec('DELETE FROM journal');
  db.prepare("INSERT INTO journal (id, entries) VALUES (?, '[]')").run(newest);
  return newest;
}

function readMeta(db: DatabaseSync, key: string): string | undefined {
  return all<{ value: string }>(db.prepare('SELECT value FROM meta WHERE key = ?'), key)[0]?.value;
}

function writeMeta(db: DatabaseSync, key: string, value: string): void {
  db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)').run(key, value);
}
