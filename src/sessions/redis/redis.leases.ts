import { Injectable, Logger } from '@nestjs/common';
import type { SessionEvent } from '../../protocol.js';
import type { PlacedMessage, RequestRecord, Session } from '../session.js';
import { StoreUnavailable } from '../session.store.js';
import { readRecord, recordFields, versionOf } from './redis.record.js';
import { KEY, RedisSessions, requestCommand, type RedisCommand, type Word } from './redis.sessions.js';

/** So long a lease lasts, by Redis's clock: a dead owner's turns are taken over after it. */
export const LEASE_MS = 2_000;
/** Leases are kept three times as often as they would end. */
export const RENEW_MS = 600;
/** By which a lease counts as over here before it is over in Redis: what the answer took, and the clocks' pace. */
const MARGIN_MS = 300;
/** How often a session is written anew because it changed meanwhile. */
const MOST_CONFLICTS = 50;

/** A lease that this process holds, and what it would take to write its session anew. */
export class RedisLease {
  /** How many appends were made under it. */
  appends = 0;
  /** As its owner knows it: what others changed since, in its queue, is not in it. */
  session?: Session;
  /** The events of the running turn. */
  log: SessionEvent[] = [];
  /** Turns that have ended under it. */
  readonly past = new Set<string>();
  /** The turn whose begin was stored, until whoever asked for it was told so. */
  begun?: string;
  /** Those of its open turns: repeated, they are answered with the same turns. */
  requests: RequestRecord[] = [];
  readonly messages = new Map<number, PlacedMessage>();
  /** On this process's monotonic clock: until then nobody else can have it. */
  validUntil: number;

  constructor(
    readonly sessionId: string,
    readonly fence: number,
    askedAt: number,
  ) {
    this.validUntil = askedAt + LEASE_MS - MARGIN_MS;
  }

  renewed(askedAt: number): void {
    this.validUntil = askedAt + LEASE_MS - MARGIN_MS;
  }

  began(session: Session, log: SessionEvent[], requests: RequestRecord[]): void {
    this.session = session;
    this.log = log;
    this.requests = requests;
  }

  ended(): void {
    if (this.session?.running) this.past.add(this.session.running.turnId);
    this.session = undefined;
    this.log = [];
    this.requests = [];
    this.messages.clear();
  }
}

/**
 * The leases of this process: kept for as long as they are held, and the sessions under them written anew where
 * Redis lost them. Somebody else's lease ends with its owner's silence, so whoever was silent for longer asks before
 * it does anything that cannot be taken back.
 */
@Injectable()
export class RedisLeases {
  readonly #logger = new Logger(RedisLeases.name);
  readonly #held = new Map<string, RedisLease>();
  #deposed: (sessionId: string, fence: number) => void = () => undefined;
  restored = 0;

  constructor(private readonly sessions: RedisSessions) {
    sessions.link.onRestarted(() => this.renew());
  }

  onDeposed(listener: (sessionId: string, fence: number) => void): void {
    this.#deposed = listener;
  }

  add(sessionId: string, fence: number, askedAt: number): void {
    this.#held.set(sessionId, new RedisLease(sessionId, fence, askedAt));
  }

  find(sessionId: string, fence: number): RedisLease | undefined {
    const lease = this.#held.get(sessionId);
    return lease?.fence === fence ? lease : undefined;
  }

  forget(lease: RedisLease): void {
    if (this.#held.get(lease.sessionId) === lease) this.#held.delete(lease.sessionId);
  }

  /** Messages that were read for a running turn: they could be written anew. */
  remember(sessionId: string, placed: readonly PlacedMessage[]): void {
    const lease = this.#held.get(sessionId);
    if (lease?.session) for (const each of placed) lease.messages.set(each.position, each);
  }

  /** Nobody else can run it now: known from the last renewal, or asked. Waits while Redis does not answer. */
  async confirm(sessionId: string, fence: number, signal?: AbortSignal): Promise<boolean> {
    for (;;) {
      const lease = this.find(sessionId, fence);
      if (!lease || signal?.aborted || this.sessions.link.closed) return false;
      if (performance.now() < lease.validUntil) return true;
      await this.#renewAll([lease]).catch((error: unknown) => {
        if (!(error instanceof StoreUnavailable)) throw error;
      });
      if (performance.now() >= lease.validUntil) await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** @throws StoreUnavailable */
  async renew(): Promise<void> {
    const byPartition = new Map<number, RedisLease[]>();
    for (const lease of this.#held.values()) {
      const { partition } = this.sessions.keysOf(lease.sessionId);
      const leases = byPartition.get(partition);
      if (leases) leases.push(lease);
      else byPartition.set(partition, [lease]);
    }
    await Promise.all([...byPartition.values()].map((leases) => this.#renewAll(leases)));
  }

  /** True where Redis holds less of the session than this owner wrote, rather than somebody else's work. */
  async isLost(lease: RedisLease): Promise<boolean> {
    return (await this.#ask([lease]))[0] === 'lost';
  }

  /** Writes the session anew, under a new epoch; false where somebody else went on with it, or there is nothing to write. */
  async restore(lease: RedisLease): Promise<boolean> {
    for (let attempt = 0; lease.session && attempt < MOST_CONFLICTS; attempt += 1) {
      const { session, revision } = await this.#merged(lease, lease.session);
      const reply = await this.#write(lease, session, revision);
      if (reply === 'conflict') continue;
      if (reply !== 'done') return false;
      this.restored += 1;
      this.#logger.warn(
        `wrote a session anew that Redis had lost (turn ${session.running?.turnId ?? 'none'})`,
      );
      return true;
    }
    return false;
  }

  /**
   * The session as its owner holds it, with what others changed since that Redis still has, or took after it came back:
   * above all messages that wait.
   */
  async #merged(lease: RedisLease, session: Session): Promise<{ session: Session; revision: string }> {
    const { sessionId, fence } = lease;
    const { record: key } = this.sessions.keysOf(sessionId);
    const fields = await this.sessions.link.command((client) => client.hgetall(key));
    const record = readRecord(Object.entries(fields).flat());
    const revision = record?.revision ?? '';
    if (record?.fence !== fence || record.body.createdAt !== session.createdAt) return { session, revision };
    const { running, waiting } = record.body;
    if (running?.turnId === session.running?.turnId) {
      return { session: await this.sessions.sessionOf(sessionId, record), revision };
    }
    // From before this turn: what waited then may have run since.
    const known = new Set([session.running, ...session.waiting].map((turn) => turn?.turnId));
    const others = waiting.filter(({ turnId }) => !known.has(turnId) && !lease.past.has(turnId));
    return { session: { ...session, waiting: [...session.waiting, ...others] }, revision };
  }

  async #write(lease: RedisLease, session: Session, revision: string): Promise<unknown> {
    const { log, sessionId, fence } = lease;
    const keys = this.sessions.keysOf(sessionId);
    const seq = log.at(-1)?.seq ?? session.seq;
    const first = log[0];
    const commands: RedisCommand[] = [
      ['HSET', KEY.record, ...recordFields(session), 'idle', this.sessions.clock.now(), 'seals', '[]'],
      ['HSET', KEY.agents, versionOf(session.agent), JSON.stringify(session.agent)],
      ['ZADD', KEY.all, Date.parse(session.updatedAt), sessionId],
    ];
    for (const { position, message } of lease.messages.values()) {
      commands.push(
        ['HSET', KEY.messages, position, JSON.stringify(message)],
        ['HSET', KEY.places, message.id, position],
      );
    }
    for (const record of lease.requests) commands.push(requestCommand(record));
    if (first) {
      const events = JSON.stringify(log.map(({ seq: _seq, ...event }) => event));
      commands.push(['XADD', KEY.log, `${seq}-0`, 'from', first.seq - 1, 'events', events, 'sealed', '']);
    }
    if (session.owner.kind === 'subject') {
      commands.push(['ZADD', KEY.owned, Date.parse(session.updatedAt), sessionId]);
    }
    const place = session.running?.position ?? session.nextPosition;
    const words: Word[] = [
      sessionId,
      fence,
      LEASE_MS,
      session.createdAt,
      seq,
      lease.appends,
      place,
      revision,
    ];
    for (const command of commands) words.push(command.length, ...command);
    const subject = session.owner.kind === 'subject' ? session.owner.sub : '';
    const [reply] = await this.sessions.link.onSession('restore', keys, words, [
      this.sessions.keys.owned(keys.partition, subject),
    ]);
    return reply;
  }

  async #renewAll(leases: RedisLease[]): Promise<void> {
    const askedAt = performance.now();
    const replies = await this.#ask(leases);
    for (const [index, lease] of leases.entries()) {
      const reply = replies[index];
      if (reply === 'ok') lease.renewed(askedAt);
      else if (reply === 'deposed' || !(await this.restore(lease))) {
        this.forget(lease);
        this.#deposed(lease.sessionId, lease.fence);
      } else lease.renewed(askedAt);
    }
  }

  async #ask(leases: RedisLease[]): Promise<string[]> {
    const [first] = leases;
    if (!first) return [];
    const { partition, index } = this.sessions.keysOf(first.sessionId);
    const records = leases.map(({ sessionId }) => this.sessions.keysOf(sessionId).record);
    const words = leases.flatMap(({ sessionId, fence, appends }) => [sessionId, fence, appends]);
    const reply = await this.sessions.link.onPartition(
      'renew',
      partition,
      [index.due, ...records],
      [LEASE_MS, ...words],
    );
    return reply[1] as string[];
  }
}
