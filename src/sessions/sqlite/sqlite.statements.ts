import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** Everything that changes a row, but what removes and trims. */
export function prepareWrites(db: DatabaseSync): Record<WriteName, StatementSync> {
  const entries = Object.entries(WRITES).map(([name, sql]) => [name, db.prepare(sql)]);
  return Object.fromEntries(entries) as Record<WriteName, StatementSync>;
}

type WriteName = keyof typeof WRITES;

const WRITES = {
  session: `
    INSERT INTO sessions (id, subject, agent_id, agent_hash, epoch, seq, sealed_seq, journal_from, updated_at,
      title, turn, busy, has_message, idle_since, json)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
    ON CONFLICT (id) DO UPDATE SET agent_id = excluded.agent_id, agent_hash = excluded.agent_hash,
      epoch = excluded.epoch, seq = excluded.seq, updated_at = excluded.updated_at, title = excluded.title,
      turn = excluded.turn, busy = excluded.busy, has_message = excluded.has_message, json = excluded.json
    WHERE refused_until IS NULL`,
  attached: 'UPDATE sessions SET attached = 1 WHERE id = ? AND refused_until IS NULL',
  detached: `
    UPDATE sessions SET attached = 0, idle_since = max(idle_since, ?) WHERE id = ? AND refused_until IS NULL`,
  idle: 'UPDATE sessions SET idle_since = max(idle_since, ?) WHERE id = ?',
  refuse: `
    UPDATE sessions SET refused_until = ?, subject = NULL, agent_id = NULL, agent_hash = NULL, epoch = NULL,
      seq = 0, sealed_seq = 0, updated_at = NULL, title = NULL, turn = NULL, attached = 0, busy = 0,
      has_message = 0, idle_since = 0, json = NULL
    WHERE id = ?`,
  request: `
    INSERT OR REPLACE INTO requests (session, kind, id, turn, digest, message, state)
    VALUES (?, ?, ?, ?, ?, ?, ?)`,
  settle: 'UPDATE requests SET state = ? WHERE session = ? AND kind = ? AND id = ?',
  withdraw: 'DELETE FROM messages WHERE session = ? AND position >= ?',
  message: 'INSERT OR REPLACE INTO messages (session, position, id, bytes, json) VALUES (?, ?, ?, ?, ?)',
  segment: 'INSERT INTO segments (session, from_seq, to_seq, sealed_at, events) VALUES (?, ?, ?, ?, ?)',
  sealEarlier: 'UPDATE segments SET sealed_at = ? WHERE session = ? AND sealed_at IS NULL',
  sealed: 'UPDATE sessions SET sealed_seq = ? WHERE id = ?',
  spent: `
    INSERT INTO spendings (subject, day, tokens) VALUES (?, ?, ?)
    ON CONFLICT (subject, day) DO UPDATE SET tokens = tokens + excluded.tokens`,
  journal: 'INSERT INTO journal (id, entries) VALUES (?, ?)',
  prune: 'DELETE FROM journal WHERE id >= ? AND id < ?',
} as const;
