import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Config } from '../../config.js';
import { LIMITS, type EventPacket, type LogEntry, type Position, type SessionEvent } from '../../protocol.js';
import { mergeEvents } from '../coalescer.js';
import { KeyedQueue } from '../keyed.queue.js';
import { chain, newestWithin, sized, waitingEvents, type SizedMessage } from '../reading.js';
import { RequestError } from '../request.error.js';
import type { Command, Outcome } from '../session.command.js';
import { isBusy, newEpoch, openTurns, type Session, type TurnEnd } from '../session.js';
import { decide, endTurn, extendTurn, type Lookup } from '../session.rules.js';
import {
  SessionDamaged,
  SessionStore,
  type Appended,
  type Census,
  type FoundSession,
  type ListQuery,
  type MessagePage,
  type MessageQuery,
  type NewSession,
  type Reading,
} from '../session.store.js';
import { ActiveSessions, type ActiveSession } from './active.sessions.js';

/** The session store of a single process: what is in use is in memory, everything is in the tables. */
@Injectable()
export class EmbeddedStore extends SessionStore {
  readonly #owners = new KeyedQueue();

  constructor(
    private readonly sessions: ActiveSessions,
    private readonly config: Config,
  ) {
    super();
  }

  open(sessionId: string, create?: () => NewSession): Promise<FoundSession | undefined> {
    return this.sessions.run(sessionId, async (active, refused) => {
      if (active && !active.session.closing) return found(active, false);
      if (active || !create || refused) return undefined;
      const { owner, ownersLimit, agent, metadata } = create();
      const now = this.sessions.clock.iso();
      const session: Session = {
        sessionId,
        owner,
        agent,
        epoch: newEpoch(),
        seq: 0,
        createdAt: now,
        updatedAt: now,
        title: '',
        nextPosition: 0,
        waiting: [],
        metadata,
      };
      return this.#made(session, ownersLimit);
    });
  }

  /** One of an owner's after the other: each counts for the next. */
  async #made(session: Session, limit = Infinity): Promise<FoundSession> {
    const { owner } = session;
    if (owner.kind !== 'subject' || limit === Infinity)
      return found(await this.sessions.create(session), true);
    await this.#owners.enter(owner.sub);
    try {
      if (this.sessions.tables.sessionsOf(owner.sub) >= limit) {
        throw new RequestError(
          'too_many_sessions',
          `An owner has up to ${limit} sessions: close one of them.`,
        );
      }
      return found(await this.sessions.create(session), true);
    } finally {
      this.#owners.leave(owner.sub);
    }
  }

  async accept(sessionId: string, command: Command): Promise<Outcome> {
    try {
      return await this.#accept(sessionId, command);
    } catch (error) {
      if (command.kind !== 'close' || !(error instanceof SessionDamaged)) throw error;
      // Of what cannot be read nothing can be said goodbye to; but it can go.
      await this.sessions.discard(sessionId);
      return { kind: 'done' };
    }
  }

  #accept(sessionId: string, command: Command): Promise<Outcome> {
    return this.sessions.run(sessionId, async (active) => {
      if (!active) return { kind: 'gone' };
      if (command.kind === 'close' && command.unlessActiveSince !== undefined) {
        const idleSince = idleSinceOf(active);
        if (idleSince === undefined || idleSince > command.unlessActiveSince) return { kind: 'busy' };
      }
      const { outcome, change } = decide(active.session, command, this.#lookup(active.session));
      if (change) await this.sessions.apply(active, change);
      return outcome;
    });
  }

  append(sessionId: string, fence: number, entries: LogEntry[], end?: TurnEnd): Promise<Appended> {
    return this.sessions.run(sessionId, (active) => {
      const running = active?.session.running;
      if (!active?.claimed || active.fence !== fence || !running) return { kind: 'deposed' };
      const { sessions } = this;
      const { session } = active;
      if (!end) return sessions.apply(active, extendTurn(session, entries), 'goes-on').then(appended);
      const change = endTurn(session, running, entries, end, sessions.clock.iso());
      return sessions.apply(active, change, 'ended').then(appended);
    });
  }

  read(sessionId: string, position?: Position): Promise<Reading | undefined> {
    return this.sessions.run(sessionId, (active) => {
      if (!active || active.session.closing) return undefined;
      const { session } = active;
      const common = {
        position: { epoch: session.epoch, seq: session.seq },
        agent: session.agent,
        turns: openTurns(session),
      };
      const missed = this.#missed(active, position);
      if (missed) {
        const { events, rest } = missed;
        const seq = rest ? (events.at(-1)?.seq ?? session.seq) : session.seq;
        return {
          ...common,
          position: { epoch: session.epoch, seq },
          rest,
          recovered: true,
          messages: [],
          hasMore: false,
          events: mergeEvents(events),
        };
      }
      const page = newestWithin(this.#newestFirst(session), LIMITS.snapshotMessages, LIMITS.snapshotBytes);
      return { ...common, rest: false, recovered: false, ...page, events: this.#present(active) };
    });
  }

  messages(sessionId: string, page: MessageQuery): Promise<MessagePage | undefined> {
    return this.sessions.run(sessionId, (active) => {
      if (!active) return undefined;
      const session = page.begun ? { ...active.session, waiting: [] } : active.session;
      const newest = this.#newestFirst(session, page.before);
      return newest && newestWithin(newest, page.limit, page.maxBytes ?? Infinity);
    });
  }

  async census(): Promise<Census> {
    return Promise.resolve(this.sessions.tables.census());
  }

  async ping(): Promise<void> {
    this.sessions.tables.ping();
  }

  async list(query: ListQuery): ReturnType<SessionStore['list']> {
    return Promise.resolve(this.sessions.tables.list(query));
  }

  /** What a client at this position has missed; undefined where that cannot be told exactly. */
  #missed(
    active: ActiveSession,
    position: Position | undefined,
  ): { events: SessionEvent[]; rest: boolean } | undefined {
    if (!position) return undefined;
    const { epoch, seq } = active.session;
    if (position.epoch !== epoch || position.seq > seq) return undefined;
    const window = this.sessions.clock.now() - this.config.resumeWindowMs;
    return this.sessions.eventsAfter(active, position.seq, window, LIMITS.replayLength);
  }

  /** What a snapshot says beside the messages: each waiting turn, then all of the running one. */
  #present(active: ActiveSession): SessionEvent[] {
    const { session } = active;
    const waiting = waitingEvents(session);
    if (!session.running) return waiting;
    const { turnId, startSeq } = session.running;
    const { events = [] } = this.sessions.eventsAfter(active, startSeq - 1, 0) ?? {};
    const ofTurn = events.filter((event) => 'turnId' in event && event.turnId === turnId);
    return waiting.concat(mergeEvents(ofTurn));
  }

  #newestFirst(session: Session): Iterable<SizedMessage>;
  #newestFirst(session: Session, before: string | undefined): Iterable<SizedMessage> | undefined;
  #newestFirst(session: Session, before?: string): Iterable<SizedMessage> | undefined {
    const waiting = session.waiting.map(({ message }) => sized(message)).reverse();
    const { tables } = this.sessions;
    // A session that was just made has none: the engine need not be asked.
    const begun =
      session.nextPosition > 0 ? tables.messagesBefore(session.sessionId, session.nextPosition) : [];
    if (before === undefined) return chain(waiting, begun);
    const index = waiting.findIndex(({ message }) => message.id === before);
    if (index >= 0) return chain(waiting.slice(index + 1), begun);
    const placed = tables.message(session.sessionId, before);
    return placed && tables.messagesBefore(session.sessionId, placed.position);
  }

  #lookup(session: Session): Lookup {
    const { tables, clock } = this.sessions;
    const { sessionId } = session;
    return {
      now: clock.iso(),
      newId: randomUUID,
      request: (request) => tables.request(sessionId, request),
      turn: (turnId) => tables.turn(sessionId, turnId),
      message: (id) => tables.message(sessionId, id),
      messageAt: (position) => tables.messageAt(sessionId, position),
      tokensOf: (subject, day) => tables.tokensOf(subject, day),
    };
  }
}

function appended(packet: EventPacket): Appended {
  return { kind: 'appended', packet };
}

function found(active: ActiveSession, created: boolean): FoundSession {
  return { session: active.session, created, idleSince: idleSinceOf(active) };
}

function idleSinceOf(active: ActiveSession): number | undefined {
  return active.attached || isBusy(active.session) ? undefined : active.idleSince;
}

/** 48 random bits. Node draws the bits of UUIDs in advance, many at once; it draws other bytes each time. */
