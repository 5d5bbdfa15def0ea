import type { SQLInputValue, StatementSync } from 'node:sqlite';
import type { TurnState } from '../../protocol.js';
import type { PinnedAgent } from '../pinned-agent.js';
import {
  isBusy,
  type PlacedMessage,
  type RequestRecord,
  type Session,
  type TurnRequest,
} from '../session.js';
import type { ListedSession } from '../session.store.js';
import type { LoadedSession, LogSegment } from '../embedded/session.tables.js';
import { hasMessage } from '../embedded/session.list.js';
import { toEvents, toListedUsage, toMessage, toSessionJson, type SessionJson } from './stored.json.js';

/** Rows as SQLite gives them, and what they mean. */

export interface SessionRow {
  id: string;
  agent_id: string;
  agent_hash: string;
  epoch: string;
  seq: number;
  updated_at: string;
  title: string;
  attached: number;
  idle_since: number;
  refused_until: number | null;
  json: string;
}

export interface ListedRow {
  id: string;
  agent_id: string;
  title: string;
  attached: number;
  busy: number;
  turn: string | null;
  updated_at: string;
  created_at?: unknown;
  used?: unknown;
}

export interface RequestRow {
  kind: TurnRequest['kind'];
  id: string;
  turn: string;
  digest: string;
  message: string;
  state: TurnState;
}

export interface MessageRow {
  position: number;
  bytes: number;
  json: string;
}

export interface SegmentRow {
  from_seq: number;
  to_seq: number;
  sealed_at: number | null;
  events: string;
}

export function one<Row>(statement: StatementSync, ...values: SQLInputValue[]): Row | undefined {
  return statement.get(...values) as unknown as Row | undefined;
}

export function all<Row>(statement: StatementSync, ...values: SQLInputValue[]): Row[] {
  return statement.all(...values) as unknown as Row[];
}

/**
 * The parameters of the statement that puts a session, in their order: names cost as much as the values.
 * @param journalFrom of a session that is made: the next journal row; `idleSince` likewise, epoch milliseconds
 */
export function sessionValues(session: Session, journalFrom: number, idleSince: number): SQLInputValue[] {
  const { owner, createdAt, nextPosition, running, waiting, closing, metadata, used } = session;
  const json: SessionJson = { owner, createdAt, nextPosition, running, waiting, closing, metadata, used };
  return [
    session.sessionId,
    owner.kind === 'subject' ? owner.sub : null,
    session.agent.id,
    session.agent.hash,
    session.epoch,
    session.seq,
    journalFrom,
    session.updatedAt,
    session.title,
    running?.turnId ?? null,
    Number(isBusy(session)),
    Number(hasMessage(session)),
    idleSince,
    JSON.stringify(json),
  ];
}

export function toLoaded(row: SessionRow, agent: PinnedAgent): LoadedSession {
  const rest = toSessionJson(row);
  const session: Session = {
    sessionId: row.id,
    agent,
    epoch: row.epoch,
    seq: row.seq,
    updatedAt: row.updated_at,
    title: row.title,
    ...rest,
  };
  return { session, attached: row.attached === 1, idleSince: row.idle_since };
}

export function toListed(row: ListedRow): ListedSession {
  return {
    sessionId: row.id,
    agent: row.agent_id,
    title: row.title,
    attached: row.attached === 1,
    busy: row.busy === 1,
    ...(row.turn === null ? {} : { turn: row.turn }),
    updatedAt: row.updated_at,
    ...toListedTime(row.created_at),
    ...toListedUsage(row.used),
  };
}

/** As JSON, since a number there may be one that JavaScript does not have. */
function toListedTime(json: unknown): Pick<ListedSession, 'createdAt'> {
  const [, createdAt] = /^"([^"\\]*)"$/.exec(typeof json === 'string' ? json : '') ?? [];
  return createdAt === undefined ? {} : { createdAt };
}

export function toRecord(row: RequestRow): RequestRecord {
  return {
    request: { kind: row.kind, id: row.id },
    digest: row.digest,
    turnId: row.turn,
    messageId: row.message,
    state: row.state,
  };
}

export function toPlaced(row: MessageRow): PlacedMessage & { bytes: number } {
  return { position: row.position, message: toMessage(row.json), bytes: row.bytes };
}

export function toSegment(row: SegmentRow): LogSegment {
  return {
    from: row.from_seq,
    to: row.to_seq,
    sealedAt: row.sealed_at ?? undefined,
    events: toEvents(row.events, row.from_seq, row.to_seq),
  };
}
