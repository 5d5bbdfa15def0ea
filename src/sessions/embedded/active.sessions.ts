import { LIMITS, type EventPacket, type SessionEvent } from '../../protocol.js';
import type { Clock } from '../../clock.js';
import { KeyedQueue } from '../keyed.queue.js';
import { isBusy, type Change, type Session } from '../session.js';
import { SessionDamaged } from '../session.store.js';
import { eventSize, segmentsOf } from './log.segments.js';
import type { LogSegment, SessionTables, Write } from './session.tables.js';

/** A session in memory: while a socket is bound to it, a turn is open, or a call is on its way. */
export interface ActiveSession {
  session: Session;
  /** The newest events, those after `logFrom`: what no segment holds yet. Seqs rise by one. */
  log: SessionEvent[];
  logFrom: number;
  /** The fence of the last claim; `claimed` while its holder has not given it back. */
  fence: number;
  claimed: boolean;
  attached: boolean;
  /** Later of the last unbind and the last turn's end, epoch milliseconds. */
  idleSince: number;
}

/**
 * The sessions of this process that are in use, and the one way to change them: decide on what is in
 * memory, make it durable, then evolve memory and publish. Tasks of one session run one after the other, so
 * that nothing is decided on what is about to change.
 */
export class ActiveSessions {
  readonly #active = new Map<string, ActiveSession>();
  readonly #queue = new KeyedQueue();
  /** Those that have nothing left to be in memory for, until the end of this turn of the event loop. */
  readonly #idle = new Set<string>();
  #publish: (packet: EventPacket) => void = () => undefined;

  constructor(
    readonly tables: SessionTables,
    readonly clock: Clock,
  ) {}

  onEvents(listener: (packet: EventPacket) => void): void {
    this.#publish = listener;
  }

  /**
   * Runs a task on a session, alone.
   * @param task is given `undefined` where there is no such session, and whether the id may be given to none
   */
  async run<T>(
    sessionId: string,
    task: (active: ActiveSession | undefined, refused: boolean) => Promise<T> | T,
  ): Promise<T> {
    // One function with few awaits: each flush of each stream passes here.
    const turn = this.#queue.enter(sessionId);
    if (turn) await turn;
    try {
      const active = this.#active.get(sessionId) ?? this.#load(sessionId);
      return active === 'refused' ? await task(undefined, true) : await task(active, false);
    } finally {
      const active = this.#active.get(sessionId);
      if (this.#isIdle(active)) await this.#settle(active);
      this.#queue.leave(sessionId);
    }
  }

  /** True while someone may run its turns. */
  isClaimed(sessionId: string): boolean {
    return this.#active.get(sessionId)?.claimed ?? false;
  }

  async create(session: Session): Promise<ActiveSession> {
    const at = this.clock.now();
    await this.tables.commit([{ kind: 'session', session, idleSince: at }], true);
    return this.#remember(session, false, at);
  }

  /**
   * Makes a change durable, then visible. With `turn: 'goes-on'` it adds nothing but events to the running
   * turn; with `'ended'` the log is sealed into a segment, which the resume window then outlives.
   */
  async apply(active: ActiveSession, change: Change, turn?: 'goes-on' | 'ended'): Promise<EventPacket> {
    const { sessionId, epoch, seq: from } = active.session;
    const events = change.entries.map((entry, index) => ({ ...entry, seq: from + 1 + index }));
    const at = this.clock.now();
    // A long turn's log is not copied at each flush, only where something else happens.
    const log = turn === 'goes-on' || change.gone ? active.log : active.log.concat(events);
    await this.tables.commit(this.#writes(active, change, events, log, turn, at), turn === 'ended');

    active.session = change.session;
    if (turn === 'goes-on') active.log.push(...events);
    else active.log = log;
    if (turn === 'ended') this.#sealed(active);
    if (endedLast(change)) active.idleSince = at;
    if (change.gone) this.#active.delete(sessionId);
    const packet = { sessionId, epoch, from, to: from + events.length, events };
    if (events.length > 0) this.#publish(packet);
    return packet;
  }

  #writes(
    active: ActiveSession,
    change: Change,
    events: SessionEvent[],
    log: SessionEvent[],
    turn: 'goes-on' | 'ended' | undefined,
    at: number,
  ): Write[] {
    const { sessionId, seq: from } = active.session;
    if (change.gone) return [removal(sessionId, at), ...spendingOf(change)];
    if (turn === 'goes-on') return [{ kind: 'events', sessionId, from, events }];
    const writes: Write[] = [{ kind: 'session', session: change.session }];
    if (change.withdrawFrom !== undefined) {
      writes.push({ kind: 'withdraw', sessionId, from: change.withdrawFrom });
    }
    for (const placed of change.messages ?? []) writes.push({ kind: 'message', sessionId, placed });
    if (change.request) writes.push({ kind: 'request', sessionId, record: change.request });
    for (const { request, state } of change.settled ?? []) {
      writes.push({ kind: 'settle', sessionId, request, state });
    }
    writes.push(...spendingOf(change));
    if (turn === 'ended') {
      for (const segment of segmentsOf(active.logFrom, log, at))
        writes.push({ kind: 'segment', sessionId, segment });
    } else if (events.length > 0) {
      writes.push({ kind: 'events', sessionId, from, events });
    }
    if (endedLast(change)) writes.push({ kind: 'idle', sessionId, at });
    return writes;
  }

  /** Ends a session of which nothing is in memory, since it cannot be read. */
  async discard(sessionId: string): Promise<void> {
    await this.#queue.enter(sessionId);
    try {
      await this.tables.commit([removal(sessionId, this.clock.now())]);
    } finally {
      this.#queue.leave(sessionId);
    }
  }

  /**
   * The events after `seq`; undefined where some of them are no longer held.
   * @param limit roughly how many characters of JSON to give, at least one event: `rest` says whether more follow
   */
  eventsAfter(
    active: ActiveSession,
    seq: number,
    sealedSince: number,
    limit = Infinity,
  ): { events: SessionEvent[]; rest: boolean } | undefined {
    const held = this.#heldAfter(active, seq, sealedSince, limit);
    if (!held) return undefined;
    const events = begin(held, limit);
    return { events, rest: (events.at(-1)?.seq ?? seq) < active.session.seq };
  }

  /** As above, and not much more than the limit. */
  #heldAfter(
    active: ActiveSession,
    seq: number,
    sealedSince: number,
    limit: number,
  ): SessionEvent[] | undefined {
    if (seq >= active.logFrom) return active.log.slice(seq - active.logFrom);
    let events: SessionEvent[] = [];
    let size = 0;
    let reached = seq;
    try {
      for (const segment of this.tables.segments(active.session.sessionId, seq)) {
        if (segment.from > reached || isPast(segment, sealedSince)) return undefined;
        const after = reached;
        const next = segment.from < after ? segment.events.filter((e) => e.seq > after) : segment.events;
        events = events.concat(next);
        reached = segment.to;
        // What is more than enough is not read: who comes back from far away takes many such steps.
        if (limit < Infinity) size += sizeOf(next);
        if (size > limit) return events;
      }
    } catch (error) {
      // What cannot be read is as good as trimmed: a client gets a snapshot, an abandoned turn ends without text.
      if (error instanceof SessionDamaged) return undefined;
      throw error;
    }
    return reached === active.logFrom ? events.concat(active.log) : undefined;
  }

  async setAttached(sessionId: string, attached: boolean): Promise<void> {
    await this.run(sessionId, (active) => {
      if (!active || active.attached === attached) return;
      const at = this.clock.now();
      active.attached = attached;
      if (!attached) active.idleSince = Math.max(active.idleSince, at);
      this.tables.setPresence(sessionId, { attached, at });
    });
  }

  /** Puts the events of turns that have run for long into segments, so that the journal can be cut. */
  async sealOverdue(): Promise<void> {
    for (const sessionId of this.tables.unsealed()) {
      await this.run(sessionId, (active) => {
        if (!active) return;
        return this.#seal(active, active.session.running ? undefined : this.clock.now());
      });
    }
  }

  async #seal(active: ActiveSession, sealedAt: number | undefined): Promise<void> {
    const { sessionId } = active.session;
    if (active.log.length === 0) return;
    const segments = segmentsOf(active.logFrom, active.log, sealedAt);
    await this.tables.commit([
      { kind: 'session', session: active.session },
      ...segments.map((segment) => ({ kind: 'segment' as const, sessionId, segment })),
    ]);
    this.#sealed(active);
  }

  #sealed(active: ActiveSession): void {
    active.log = [];
    active.logFrom = active.session.seq;
  }

  #load(sessionId: string): ActiveSession | 'refused' | undefined {
    const loaded = this.tables.load(sessionId);
    if (loaded === undefined || loaded === 'refused') return loaded;
    return this.#remember(loaded.session, loaded.attached, loaded.idleSince);
  }

  #remember(session: Session, attached: boolean, idleSince: number): ActiveSession {
    const active: ActiveSession = {
      session,
      log: [],
      logFrom: session.seq,
      fence: 0,
      claimed: false,
      attached,
      idleSince,
    };
    this.#active.set(session.sessionId, active);
    return active;
  }

  /** Puts away what is idle; it stays in memory until the next tick, since whoever opens is about to attach. */
  async #settle(active: ActiveSession): Promise<void> {
    try {
      await this.#seal(active, this.clock.now());
    } catch {
      // The engine is out of reach: what it does not hold yet stays in memory until a later task.
      return;
    }
    if (this.#idle.size === 0) setImmediate(() => this.#evictIdle());
    this.#idle.add(active.session.sessionId);
  }

  #evictIdle(): void {
    for (const idle of this.#idle) void this.#evict(idle);
    this.#idle.clear();
  }

  #isIdle(active: ActiveSession | undefined): active is ActiveSession {
    return active !== undefined && !active.attached && !active.claimed && !isBusy(active.session);
  }

  async #evict(sessionId: string): Promise<void> {
    await this.#queue.enter(sessionId);
    const active = this.#active.get(sessionId);
    if (this.#isIdle(active) && active.log.length === 0) this.#active.delete(sessionId);
    this.#queue.leave(sessionId);
  }
}

function spendingOf({ spent }: Change): Write[] {
  return spent ? [{ kind: 'spent', spending: spent }] : [];
}

function removal(sessionId: string, at: number): Write {
  return { kind: 'remove', sessionId, refusedUntil: at + LIMITS.tombstoneMs };
}

function endedLast({ session, settled = [] }: Change): boolean {
  return settled.length > 0 && !isBusy(session);
}

function isPast(segment: LogSegment, sealedSince: number): boolean {
  return segment.sealedAt !== undefined && segment.sealedAt < sealedSince;
}

/** The first events within the limit, at least one. */
function begin(events: SessionEvent[], limit: number): SessionEvent[] {
  if (limit === Infinity) return events;
  let size = 0;
  const end = events.findIndex((event) => (size += eventSize(event)) > limit);
  return end < 0 ? events : events.slice(0, Math.max(1, end));
}

function sizeOf(events: readonly SessionEvent[]): number {
  return events.reduce((size, event) => size + eventSize(event), 0);
}
