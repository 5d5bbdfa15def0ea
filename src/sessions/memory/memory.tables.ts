import type { SessionPresence } from '../../protocol.js';
import {
  isBusy,
  type PlacedMessage,
  type RequestRecord,
  type Session,
  type Spending,
  type TurnRequest,
} from '../session.js';
import { presenceOf, type Census, type ListedSession, type ListQuery } from '../session.store.js';
import { decodeCursor, encodeCursor, hasMessage, type ListCursor } from '../embedded/session.list.js';
import {
  SessionTables,
  type LoadedSession,
  type LogSegment,
  type Presence,
  type Write,
} from '../embedded/session.tables.js';

type SizedMessage = PlacedMessage & { bytes: number };

/** All rows of one session. */
interface Rows {
  session: Session;
  attached: boolean;
  idleSince: number;
  requests: Map<string, RequestRecord>;
  /** By turn: a key of `requests`. */
  turns: Map<string, string>;
  /** Indexed by position; a running turn's answer is missing until the turn ends. */
  messages: (SizedMessage | undefined)[];
  positions: Map<string, number>;
  segments: LogSegment[];
}

/** Sessions that live as long as the process: maps. */
export class MemoryTables extends SessionTables {
  readonly #rows = new Map<string, Rows>();
  readonly #refusedUntil = new Map<string, number>();
  /** How many sessions a subject has. */
  readonly #owned = new Map<string, number>();
  /** By day, then subject. */
  readonly #spent = new Map<string, Map<string, number>>();

  load(sessionId: string): LoadedSession | 'refused' | undefined {
    const rows = this.#rows.get(sessionId);
    if (!rows) return this.#refusedUntil.has(sessionId) ? 'refused' : undefined;
    const { session, attached, idleSince } = rows;
    return { session, attached, idleSince };
  }

  request(sessionId: string, request: TurnRequest): RequestRecord | undefined {
    return this.#rows.get(sessionId)?.requests.get(keyOf(request));
  }

  turn(sessionId: string, turnId: string): RequestRecord | undefined {
    const rows = this.#rows.get(sessionId);
    const key = rows?.turns.get(turnId);
    return key === undefined ? undefined : rows?.requests.get(key);
  }

  message(sessionId: string, messageId: string): PlacedMessage | undefined {
    const rows = this.#rows.get(sessionId);
    const position = rows?.positions.get(messageId);
    return position === undefined ? undefined : rows?.messages[position];
  }

  messageAt(sessionId: string, position: number): PlacedMessage | undefined {
    return this.#rows.get(sessionId)?.messages[position];
  }

  *messagesBefore(sessionId: string, before: number): Iterable<SizedMessage> {
    const messages = this.#rows.get(sessionId)?.messages ?? [];
    for (let position = Math.min(before, messages.length) - 1; position >= 0; position -= 1) {
      const placed = messages[position];
      if (placed) yield placed;
    }
  }

  segments(sessionId: string, afterSeq: number): LogSegment[] {
    return this.#rows.get(sessionId)?.segments.filter(({ to }) => to > afterSeq) ?? [];
  }

  list(query: ListQuery): { sessions: ListedSession[]; nextCursor?: string } {
    const after = query.cursor === undefined || query.idleBefore ? undefined : decodeCursor(query.cursor);
    const matching = [...this.#rows.values()].filter((rows) => matches(rows, query, after));
    matching.sort(query.idleBefore ? longestIdleFirst : newestFirst);
    const sessions = matching.slice(0, query.limit).map(listed);
    const last = sessions.at(-1);
    if (!last || matching.length <= query.limit || query.idleBefore) return { sessions };
    return { sessions, nextCursor: encodeCursor(last) };
  }

  census(): Census {
    const census: Census = { attached: 0, detached: 0, orphaned: 0 };
    for (const rows of this.#rows.values()) census[stateOf(rows)] += 1;
    return census;
  }

  ping(): void {
    // It lives as long as the process.
  }

  sessionsOf(subject: string): number {
    return this.#owned.get(subject) ?? 0;
  }

  tokensOf(subject: string, day: string): number {
    return this.#spent.get(day)?.get(subject) ?? 0;
  }

  busy(): string[] {
    return [...this.#rows.values()]
      .filter(({ session }) => isBusy(session))
      .map(({ session }) => session.sessionId);
  }

  /** Nothing in here can fail, so that a batch is a whole without further ado. */
  commit(writes: Write[]): Promise<void> {
    for (const write of writes) this.#apply(write);
    return Promise.resolve();
  }

  setPresence(sessionId: string, { attached, at }: Presence): void {
    const rows = this.#rows.get(sessionId);
    if (!rows) return;
    rows.attached = attached;
    if (!attached) rows.idleSince = Math.max(rows.idleSince, at);
  }

  /** The log's newest events stand in the active session alone: there is nothing to cut. */
  unsealed(): string[] {
    return [];
  }

  trim(before: { sealedAt: number; refusedUntil: number; day: string }): void {
    for (const rows of this.#rows.values()) {
      if (!rows.segments.some((segment) => isSealedBefore(segment, before.sealedAt))) continue;
      rows.segments = rows.segments.filter((segment) => !isSealedBefore(segment, before.sealedAt));
    }
    for (const [sessionId, until] of this.#refusedUntil) {
      if (until < before.refusedUntil) this.#refusedUntil.delete(sessionId);
    }
    for (const day of this.#spent.keys()) if (day < before.day) this.#spent.delete(day);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #apply(write: Write): void {
    if (write.kind === 'session') return this.#putSession(write.session, write.idleSince);
    if (write.kind === 'spent') return this.#spend(write.spending);
    const rows = this.#rows.get(write.sessionId);
    if (!rows) return;
    switch (write.kind) {
      case 'idle':
        rows.idleSince = Math.max(rows.idleSince, write.at);
        return;
      case 'request':
        rows.requests.set(keyOf(write.record.request), write.record);
        rows.turns.set(write.record.turnId, keyOf(write.record.request));
        return;
      case 'settle': {
        const record = rows.requests.get(keyOf(write.request));
        if (record) rows.requests.set(keyOf(write.request), { ...record, state: write.state });
        return;
      }
      case 'withdraw':
        for (const placed of rows.messages.splice(write.from)) {
          if (placed) rows.positions.delete(placed.message.id);
        }
        return;
      case 'message':
        return putMessage(rows, write.placed);
      case 'events':
        return;
      case 'segment':
        return putSegment(rows, write.segment);
      case 'remove':
        this.#rows.delete(write.sessionId);
        this.#own(rows.session, -1);
        this.#refusedUntil.set(write.sessionId, write.refusedUntil);
        return;
    }
  }

  #own({ owner }: Session, more: 1 | -1): void {
    if (owner.kind !== 'subject') return;
    const sessions = this.sessionsOf(owner.sub) + more;
    if (sessions > 0) this.#owned.set(owner.sub, sessions);
    else this.#owned.delete(owner.sub);
  }

  #spend({ subject, day, tokens }: Spending): void {
    const ofDay = this.#spent.get(day) ?? new Map<string, number>();
    this.#spent.set(day, ofDay.set(subject, (ofDay.get(subject) ?? 0) + tokens));
  }

  #putSession(session: Session, idleSince = 0): void {
    const rows = this.#rows.get(session.sessionId);
    if (rows) {
      rows.session = session;
      return;
    }
    this.#own(session, 1);
    this.#rows.set(session.sessionId, {
      session,
      attached: false,
      idleSince,
      requests: new Map(),
      turns: new Map(),
      messages: [],
      positions: new Map(),
      segments: [],
    });
  }
}

function keyOf({ kind, id }: TurnRequest): string {
  return `${kind} ${id}`;
}

function putMessage(rows: Rows, { position, message }: PlacedMessage): void {
  const present = rows.messages[position];
  if (present) rows.positions.delete(present.message.id);
  // An id stands at one place only, as in a table with a unique key.
  const elsewhere = rows.positions.get(message.id);
  if (elsewhere !== undefined) rows.messages[elsewhere] = undefined;
  rows.messages[position] = { position, message, bytes: Buffer.byteLength(JSON.stringify(message)) };
  rows.positions.set(message.id, position);
}

function putSegment(rows: Rows, segment: LogSegment): void {
  const { sealedAt } = segment;
  if (sealedAt !== undefined) {
    rows.segments = rows.segments.map((earlier) => ({ ...earlier, sealedAt: earlier.sealedAt ?? sealedAt }));
  }
  rows.segments.push(segment);
}

function isSealedBefore({ sealedAt }: LogSegment, time: number): boolean {
  return sealedAt !== undefined && sealedAt < time;
}

function matches(rows: Rows, query: ListQuery, after: ListCursor | undefined): boolean {
  const { session, attached, idleSince } = rows;
  const { owner } = session;
  if (query.subject !== undefined && (owner.kind !== 'subject' || owner.sub !== query.subject)) return false;
  if (query.state !== undefined && query.state !== stateOf(rows)) return false;
  if (query.idleBefore) {
    if (attached || isBusy(session)) return false;
    const { withMessages, empty } = query.idleBefore;
    if (idleSince >= (hasMessage(session) ? withMessages : empty)) return false;
  }
  return !after || compare(after, session) > 0;
}

function stateOf({ attached, session }: Rows): SessionPresence {
  return presenceOf({ attached, busy: isBusy(session) });
}

function listed({ session, attached }: Rows): ListedSession {
  const { sessionId, agent, title, running, updatedAt, createdAt, used } = session;
  return {
    sessionId,
    agent: agent.id,
    title,
    attached,
    busy: isBusy(session),
    ...(running ? { turn: running.turnId } : {}),
    updatedAt,
    createdAt,
    ...(used ? { used } : {}),
  };
}

function newestFirst(a: Rows, b: Rows): number {
  return -compare(a.session, b.session);
}

function longestIdleFirst(a: Rows, b: Rows): number {
  return a.idleSince - b.idleSince || (a.session.sessionId < b.session.sessionId ? -1 : 1);
}

function compare(a: ListCursor, b: ListCursor): number {
  if (a.updatedAt !== b.updatedAt) return a.updatedAt < b.updatedAt ? -1 : 1;
  if (a.sessionId === b.sessionId) return 0;
  return a.sessionId < b.sessionId ? -1 : 1;
}
