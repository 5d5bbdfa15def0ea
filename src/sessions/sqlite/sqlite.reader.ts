import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { PlacedMessage, RequestRecord, TurnRequest } from '../session.js';
import { LIMITS } from '../../protocol.js';
import { type Census, type ListedSession, type ListQuery } from '../session.store.js';
import { decodeCursor, encodeCursor } from '../embedded/session.list.js';
import type { LoadedSession, LogSegment } from '../embedded/session.tables.js';
import type { SqliteAgents } from './sqlite.agents.js';
import { toMessage, toMessages } from './stored.json.js';
import {
  all,
  one,
  toListed,
  toLoaded,
  toPlaced,
  toRecord,
  toSegment,
  type ListedRow,
  type MessageRow,
  type RequestRow,
  type SegmentRow,
  type SessionRow,
} from './sqlite.rows.js';

/** Messages read at once: a snapshot, and whether there are more. */
export const MESSAGES_PAGE = LIMITS.snapshotMessages + 1;

const LISTED = 'SELECT id, agent_id, title, attached, busy, turn, updated_at FROM sessions';
/** With what stands in the JSON. A row that was damaged must not end the whole list. */
const DESCRIBED = LISTED.replace(
  ' FROM',
  `, CASE WHEN json_valid(json) THEN json -> '$.createdAt' END AS created_at,
  CASE WHEN json_valid(json) THEN json -> '$.used' END AS used FROM`,
);
const IDLE = 'attached = 0 AND busy = 0 AND refused_until IS NULL';
const IN_STATE = {
  attached: 'attached = 1',
  orphaned: 'attached = 0 AND busy = 1',
  detached: 'attached = 0 AND busy = 0',
} as const;

const READS = {
  session: `
    SELECT id, agent_id, agent_hash, epoch, seq, updated_at, title, attached, idle_since, refused_until, json
    FROM sessions WHERE id = ?`,
  request:
    'SELECT kind, id, turn, digest, message, state FROM requests WHERE session = ? AND kind = ? AND id = ?',
  // Left to itself SQLite reads all of the session's requests.
  turn: `
    SELECT kind, id, turn, digest, message, state FROM requests INDEXED BY requests_by_turn
    WHERE session = ? AND turn = ?`,
  message: 'SELECT position, bytes, json FROM messages WHERE session = ? AND id = ?',
  messageAt: 'SELECT position, bytes, json FROM messages WHERE session = ? AND position = ?',
  messagesBefore: `
    SELECT position, bytes, json FROM messages WHERE session = ? AND position < ?
    ORDER BY position DESC LIMIT ${MESSAGES_PAGE}`,
  segment: `
    SELECT from_seq, to_seq, sealed_at, events FROM segments WHERE session = ? AND to_seq > ?
    ORDER BY to_seq LIMIT 1`,
  sessionsOf: 'SELECT count(*) AS count FROM sessions WHERE subject = ?',
  tokensOf: 'SELECT tokens FROM spendings WHERE subject = ? AND day = ?',
  busy: 'SELECT id FROM sessions WHERE busy = 1',
  // All of them are counted in an index that is much smaller than the table, the others in indexes of their own.
  census: `
    SELECT
      (SELECT count(*) FROM sessions WHERE refused_until IS NULL) AS total,
      (SELECT count(*) FROM sessions WHERE attached = 1 AND refused_until IS NULL) AS attached,
      (SELECT count(*) FROM sessions WHERE busy = 1 AND attached = 0 AND refused_until IS NULL) AS orphaned`,
  ping: 'SELECT id FROM sessions LIMIT 1',
} as const;

/** Reads rows; throws what SQLite throws. */
export class SqliteReader {
  readonly #statements: Record<keyof typeof READS, StatementSync>;
  /** By their SQL: a handful, according to which fields of a query are given. */
  readonly #lists = new Map<string, StatementSync>();

  constructor(
    private readonly db: DatabaseSync,
    private readonly agents: SqliteAgents,
  ) {
    const entries = Object.entries(READS).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(entries) as Record<keyof typeof READS, StatementSync>;
    // The one statement of many rows each time: an object a row would cost as much as what it holds.
    this.#statements.messagesBefore.setReturnArrays(true);
  }

  load(sessionId: string): LoadedSession | 'refused' | undefined {
    const row = one<SessionRow>(this.#statements.session, sessionId);
    if (!row) return undefined;
    return row.refused_until === null
      ? toLoaded(row, this.agents.get(row.agent_id, row.agent_hash))
      : 'refused';
  }

  request(sessionId: string, { kind, id }: TurnRequest): RequestRecord | undefined {
    const row = one<RequestRow>(this.#statements.request, sessionId, kind, id);
    return row && toRecord(row);
  }

  turn(sessionId: string, turnId: string): RequestRecord | undefined {
    const row = one<RequestRow>(this.#statements.turn, sessionId, turnId);
    return row && toRecord(row);
  }

  message(sessionId: string, messageId: string): PlacedMessage | undefined {
    const row = one<MessageRow>(this.#statements.message, sessionId, messageId);
    return row && toPlaced(row);
  }

  messageAt(sessionId: string, position: number): PlacedMessage | undefined {
    const row = one<MessageRow>(this.#statements.messageAt, sessionId, position);
    return row && toPlaced(row);
  }

  /** The next {@link MESSAGES_PAGE}, newest first. Asking for one throws SessionDamaged where it cannot be read. */
  messagesBefore(sessionId: string, before: number): (() => PlacedMessage & { bytes: number })[] {
    const rows = all<[position: number, bytes: number, json: string]>(
      this.#statements.messagesBefore,
      sessionId,
      before,
    );
    // Of long ones most may not be asked for.
    const isShort = rows.reduce((sum, [, bytes]) => sum + bytes, 0) <= LIMITS.snapshotBytes;
    const messages = isShort ? toMessages(rows.map(([, , json]) => json)) : undefined;
    return rows.map(([position, bytes, json], index) => () => ({
      position,
      bytes,
      message: messages?.[index] ?? toMessage(json),
    }));
  }

  /** The first that holds events after `seq`. */
  segment(sessionId: string, afterSeq: number): LogSegment | undefined {
    const row = one<SegmentRow>(this.#statements.segment, sessionId, afterSeq);
    return row && toSegment(row);
  }

  census(): Census {
    const row = one<{ total: number; attached: number; orphaned: number }>(this.#statements.census);
    const { total, attached, orphaned } = row ?? { total: 0, attached: 0, orphaned: 0 };
    return { attached, orphaned, detached: total - attached - orphaned };
  }

  ping(): void {
    one(this.#statements.ping);
  }

  sessionsOf(subject: string): number {
    return one<{ count: number }>(this.#statements.sessionsOf, subject)?.count ?? 0;
  }

  tokensOf(subject: string, day: string): number {
    return one<{ tokens: number }>(this.#statements.tokensOf, subject, day)?.tokens ?? 0;
  }

  busy(): string[] {
    return all<{ id: string }>(this.#statements.busy).map(({ id }) => id);
  }

  /** Newest first; with `idleBefore` longest idle first and without a cursor: whoever asks ends them. */
  list(query: ListQuery): { sessions: ListedSession[]; nextCursor?: string } {
    if (query.idleBefore) return { sessions: this.#idle(query.idleBefore, query.limit) };
    const where = ['refused_until IS NULL'];
    const values: SQLInputValue[] = [];
    if (query.subject !== undefined) {
      where.push('subject = ?');
      values.push(query.subject);
    }
    if (query.state !== undefined) where.push(IN_STATE[query.state]);
    if (query.cursor !== undefined) {
      const { updatedAt, sessionId } = decodeCursor(query.cursor);
      where.push('(updated_at, id) < (?, ?)');
      values.push(updatedAt, sessionId);
    }
    const sql = `${DESCRIBED} WHERE ${where.join(' AND ')} ORDER BY updated_at DESC, id DESC LIMIT ?`;
    const found = this.#listed(sql, ...values, query.limit + 1);
    const sessions = found.slice(0, query.limit);
    const last = sessions.at(-1);
    return last && found.length > query.limit ? { sessions, nextCursor: encodeCursor(last) } : { sessions };
  }

  /** Two ranges of one index, merged as they are read. */
  #idle(before: { withMessages: number; empty: number }, limit: number): ListedSession[] {
    const columns = DESCRIBED.replace('SELECT', 'SELECT idle_since,');
    const sql = `
      ${columns} WHERE ${IDLE} AND has_message = 1 AND idle_since < ?
      UNION ALL
      ${columns} WHERE ${IDLE} AND has_message = 0 AND idle_since < ?
      ORDER BY idle_since, id LIMIT ?`;
    return this.#listed(sql, before.withMessages, before.empty, limit);
  }

  #listed(sql: string, ...values: SQLInputValue[]): ListedSession[] {
    const statement = this.#lists.get(sql) ?? this.db.prepare(sql);
    this.#lists.set(sql, statement);
    return all<ListedRow>(statement, ...values).map(toListed);
  }
}
