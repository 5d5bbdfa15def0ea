import { Injectable, Logger } from '@nestjs/common';
import type { EventPacket } from '../../protocol.js';
import { KeyedQueue } from '../keyed.queue.js';
import { SessionFeed } from '../session.feed.js';
import { StoreUnavailable } from '../session.store.js';
import { RedisNodes } from './redis.nodes.js';
import { RedisSessions } from './redis.sessions.js';

/** So many sessions at once are told that this node is back. */
const REJOIN_AT_ONCE = 64;
/** How long after a failure it is tried again. */
const REJOIN_AGAIN_MS = 500;

/** Which sessions this node has sockets of is kept with each session, so that whoever changes it knows whom to tell. */
@Injectable()
export class RedisFeed extends SessionFeed {
  readonly #logger = new Logger(RedisFeed.name);
  readonly #subscribed = new Set<string>();
  /** Left here while Redis could not be told so. */
  readonly #owed = new Set<string>();
  /** Binding and unbinding of one session, in their order. */
  readonly #queue = new KeyedQueue();
  #listener: (packet: EventPacket) => void = () => undefined;
  #gap: (sessionId: string) => void = () => undefined;
  #rejoining?: Promise<void>;
  #again = false;

  constructor(
    private readonly sessions: RedisSessions,
    nodes: RedisNodes,
  ) {
    super();
    sessions.onPublished((packet) => this.#take(packet));
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
    await this.#alone(sessionId, () => this.#leave(sessionId));
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

  /** Whatever was missed meanwhile is read from the logs. One at a time; what came during one is seen to by the next. */
  #rejoin(): Promise<void> {
    this.#again = true;
    return (this.#rejoining ??= this.#rejoinAll().finally(() => (this.#rejoining = undefined)));
  }

  async #rejoinAll(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      const sessions = [...this.#subscribed, ...this.#owed];
      for (let begin = 0; begin < sessions.length; begin += REJOIN_AT_ONCE) {
        await Promise.all(
          sessions.slice(begin, begin + REJOIN_AT_ONCE).map((sessionId) => this.#rejoinOne(sessionId)),
        );
      }
    }
  }

  async #rejoinOne(sessionId: string): Promise<void> {
    try {
      await this.#alone(sessionId, () =>
        this.#subscribed.has(sessionId) ? this.#attach(sessionId) : this.#leave(sessionId),
      );
      if (this.#subscribed.has(sessionId)) this.#gap(sessionId);
    } catch (error) {
      if (this.sessions.link.closed) return;
      this.#logger.warn(`a session could not be bound again: ${String(error)}`);
      setTimeout(() => void this.#rejoin(), REJOIN_AGAIN_MS).unref();
    }
  }

  /** What cannot be told now is owed: a session must not look attached for ever. */
  async #leave(sessionId: string): Promise<void> {
    if (this.#subscribed.has(sessionId)) return void this.#owed.delete(sessionId);
    try {
      await this.#detach(sessionId, this.sessions.link.node);
      this.#owed.delete(sessionId);
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      this.#owed.add(sessionId);
    }
  }

  /** A node that is gone has no sockets: those that it had are detached. */
  async #bury(node: string): Promise<void> {
    const { keys, link } = this.sessions;
    for (const partition of keys.allPartitions()) {
      const held = keys.held(partition, node);
      for (const sessionId of await link.command((client) => client.smembers(held))) {
        await this.#detach(sessionId, node);
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
