import { Injectable, Logger } from '@nestjs/common';
import type { EventPacket } from '../../protocol.js';
import { KeyedQueue } from '../keyed.queue.js';
import { SessionFeed } from '../session.feed.js';
import { StoreUnavailable } from '../session.store.js';
import { RedisNodes } from './redis.nodes.js';
import { RedisSessions } from './redis.sessions.js';

/** So many sessions at once are bound or unbound anew. */
const SETTLED_AT_ONCE = 64;
/** How long after a failure it is tried again. */
const SETTLE_AGAIN_MS = 500;

/** Which sessions this node has sockets of is kept with each session, so that whoever changes it knows whom to tell. */
@Injectable()
export class RedisFeed extends SessionFeed {
  readonly #logger = new Logger(RedisFeed.name);
  readonly #subscribed = new Set<string>();
  /** Sessions of which Redis is to be told whether this node has sockets of them, and that are then read again. */
  readonly #doubtful = new Set<string>();
  /** Binding and unbinding of one session, in their order. */
  readonly #queue = new KeyedQueue();
  #listener: (packet: EventPacket) => void = () => undefined;
  #gap: (sessionId: string) => void = () => undefined;
  #settling?: Promise<void>;
  #later?: NodeJS.Timeout;

  constructor(
    private readonly sessions: RedisSessions,
    nodes: RedisNodes,
  ) {
    super();
    sessions.onPublished((packet) => this.#take(packet));
    // What was perhaps made is told to nobody here: it is found in the log.
    sessions.onUncertain((sessionId) => {
      if (this.#subscribed.has(sessionId)) this.#doubt(sessionId);
    });
    nodes.onPackets((packet) => this.#take(packet));
    nodes.onGap(() => void this.#rejoin());
    nodes.onDeath((node) => this.#bury(node));
    sessions.link.onRestarted(() => this.#rejoin());
  }

  async subscribe(sessionId: string): Promise<void> {
    this.#subscribed.add(sessionId);
    await this.#alone(sessionId, async () => {
      if (this.#subscribed.has(sessionId)) await this.#attach(sessionId);
    });
  }

  async unsubscribe(sessionId: string): Promise<void> {
    this.#subscribed.delete(sessionId);
    try {
      await this.#alone(sessionId, () => this.#leave(sessionId));
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      // A session must not look attached for ever.
      this.#doubt(sessionId);
    }
  }

  onEvents(listener: (packet: EventPacket) => void): void {
    this.#listener = listener;
  }

  onGap(listener: (sessionId: string) => void): void {
    this.#gap = listener;
  }

  async detachedSince(sessionId: string): Promise<number | undefined> {
    if (this.#subscribed.has(sessionId)) return undefined;
    const loaded = await this.sessions.load(sessionId);
    if (!loaded.session) return 0;
    return loaded.record.nodes.length > 0 ? undefined : loaded.record.left;
  }

  #take(packet: EventPacket): void {
    if (this.#subscribed.has(packet.sessionId)) this.#listener(packet);
  }

  /** Whatever was missed meanwhile is read from the logs. */
  #rejoin(): Promise<void> {
    for (const sessionId of this.#subscribed) this.#doubtful.add(sessionId);
    return this.#settle();
  }

  #doubt(sessionId: string): void {
    this.#doubtful.add(sessionId);
    if (this.#later) return;
    this.#later = setTimeout(() => {
      this.#later = undefined;
      void this.#settle();
    }, SETTLE_AGAIN_MS).unref();
  }

  /** One at a time; what comes to be in doubt during one is seen to by the same. */
  #settle(): Promise<void> {
    return (this.#settling ??= this.#settleAll().finally(() => (this.#settling = undefined)));
  }

  async #settleAll(): Promise<void> {
    while (this.#doubtful.size > 0) {
      const some = [...this.#doubtful].slice(0, SETTLED_AT_ONCE);
      for (const sessionId of some) this.#doubtful.delete(sessionId);
      const errors = (await Promise.all(some.map((sessionId) => this.#settleOne(sessionId)))).filter(Boolean);
      if (errors.length === 0) continue;
      this.#logger.warn(`sessions could not be bound again: ${String(errors[0])}`);
      return;
    }
  }

  /** @returns what kept it from being settled, for which it is tried again */
  async #settleOne(sessionId: string): Promise<unknown> {
    try {
      await this.#alone(sessionId, () =>
        this.#subscribed.has(sessionId) ? this.#attach(sessionId) : this.#leave(sessionId),
      );
      if (this.#subscribed.has(sessionId)) this.#gap(sessionId);
      return undefined;
    } catch (error) {
      if (this.sessions.link.closed) return undefined;
      this.#doubt(sessionId);
      return error;
    }
  }

  async #leave(sessionId: string): Promise<void> {
    if (!this.#subscribed.has(sessionId)) await this.#detach(sessionId, this.sessions.link.node);
  }

  /** A node that is gone has no sockets: those that it had are detached. */
  async #bury(node: string): Promise<void> {
    const { keys, link } = this.sessions;
    for (const partition of keys.allPartitions()) {
      const held = keys.held(partition, node);
      const sessions = await link.command((client) => client.smembers(held));
      for (let begin = 0; begin < sessions.length; begin += SETTLED_AT_ONCE) {
        const some = sessions.slice(begin, begin + SETTLED_AT_ONCE);
        await Promise.all(some.map((sessionId) => this.#detach(sessionId, node)));
      }
      await link.command((client) => client.del(held));
    }
  }

  async #attach(sessionId: string): Promise<void> {
    const keys = this.sessions.keysOf(sessionId);
    const { link } = this.sessions;
    const held = this.sessions.keys.held(keys.partition, link.node);
    for (;;) {
      const [reply] = await link.onSession('attach', keys, [sessionId], [held]);
      // One that Redis lost: its owner, on whatever node, may be about to write it anew.
      if (reply !== 'absent' || (await link.settled())) return;
    }
  }

  async #detach(sessionId: string, node: string): Promise<void> {
    const keys = this.sessions.keysOf(sessionId);
    await this.sessions.link.onSession(
      'detach',
      keys,
      [sessionId, node, this.sessions.clock.now()],
      [this.sessions.keys.held(keys.partition, node)],
    );
  }

  async #alone(sessionId: string, task: () => Promise<void>): Promise<void> {
    await this.#queue.enter(sessionId);
    try {
      await task();
    } finally {
      this.#queue.leave(sessionId);
    }
  }
}
