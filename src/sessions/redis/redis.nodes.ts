import { randomUUID } from 'node:crypto';
import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import type { Cluster, Redis } from 'ioredis';
import type { EventPacket } from '../../protocol.js';
import { PeriodicTask } from '../periodic.task.js';
import { RequestError } from '../request.error.js';
import type { Ending } from '../session.js';
import { StoreEngine } from '../session.store.js';
import type { StopHandler } from '../turn.lease.js';
import { LEASE_MS, RENEW_MS, RedisLeases } from './redis.leases.js';
import { RedisLink } from './redis.link.js';
import { numbered } from './redis.record.js';

/** A node that was not seen for so long holds no sockets any more. */
const DEAD_MS = 5_000;
const BEAT_MS = 1_000;
/** How long a start waits for Redis before it says that it is missing. */
const START_MS = 2_000;
/** How long an owner is waited for that is asked to end a turn. */
const STOP_ANSWER_MS = 2_000;

type Message =
  | { packet: EventPacket }
  | { stop: { sessionId: string; turnId: string; ending: Ending }; from: string; ask: string }
  | { answer: string; ending: Ending | null }
  | { beat: number };

/**
 * The nodes, each with a channel of its own, on which it is told of events of the sessions that it holds sockets of,
 * and asked to end turns that it runs. A connection that breaks or stands still may have lost some: then everything is
 * read again.
 */
@Injectable()
export class RedisNodes extends StoreEngine implements OnApplicationBootstrap {
  readonly #logger = new Logger(RedisNodes.name);
  readonly #subscriber: Redis | Cluster;
  readonly #beat = new PeriodicTask(() => this.beat());
  readonly #renewal = new PeriodicTask(() => this.#renew());
  readonly #asked = new Map<string, (ending: Ending | undefined) => void>();
  #packets: (packet: EventPacket) => void = () => undefined;
  #gaps: () => void = () => undefined;
  #deaths: (node: string) => Promise<void> = () => Promise.resolve();
  #stop: StopHandler = () => Promise.resolve(undefined);
  #known = false;
  #sent = 0;
  #heard = 0;
  /** Since when every answer has come in time; Infinity: the last one did not. */
  #answeringSince = Infinity;
  #lastAnswer = 0;

  constructor(
    private readonly link: RedisLink,
    private readonly leases: RedisLeases,
  ) {
    super();
    this.#subscriber = link.connect('events');
    this.#subscriber.on('message', (_channel: string, text: string) => this.#take(text));
    this.#subscriber.on('ready', () => void this.#subscribe());
  }

  async onApplicationBootstrap(): Promise<void> {
    if (!(await this.link.reached(START_MS))) {
      this.#logger.error('Redis is out of reach: nothing is accepted until it answers');
    }
    // Nobody is listened to before: what an owner writes anew must not be made by somebody else.
    await this.link.settled();
    await this.beat();
    this.start();
  }

  start(): void {
    this.#beat.start(BEAT_MS);
    this.#renewal.start(RENEW_MS);
  }

  async close(): Promise<void> {
    await Promise.all([this.#beat.stop(), this.#renewal.stop()]);
    for (const settle of this.#asked.values()) settle(undefined);
    this.#subscriber.disconnect();
    await this.link.close();
  }

  /** False while Redis was lately out of this node's reach, or was restarted: owners may not have renewed yet. */
  get steady(): boolean {
    if (this.link.settling) return false;
    const now = performance.now();
    const { steadyMs } = this.link.timing;
    return now - this.#answeringSince >= steadyMs && now - this.#lastAnswer < LEASE_MS;
  }

  onPackets(listener: (packet: EventPacket) => void): void {
    this.#packets = listener;
  }

  /** Called when packets may have been lost, or others have taken this node for dead. */
  onGap(listener: () => void): void {
    this.#gaps = listener;
  }

  onDeath(listener: (node: string) => Promise<void>): void {
    this.#deaths = listener;
  }

  onStop(handler: StopHandler): void {
    this.#stop = handler;
  }

  /** @throws RequestError `unavailable`: its owner does not answer */
  async askToStop(
    owner: string,
    sessionId: string,
    turnId: string,
    ending: Ending,
  ): Promise<Ending | undefined> {
    const ask = randomUUID();
    const answered = new Promise<Ending | undefined | 'silent'>((resolve) => {
      const timer = setTimeout(() => resolve('silent'), STOP_ANSWER_MS);
      this.#asked.set(ask, (decided) => {
        clearTimeout(timer);
        resolve(decided);
      });
    });
    try {
      await this.#tell(owner, { stop: { sessionId, turnId, ending }, from: this.link.node, ask });
      const decided = await answered;
      if (decided !== 'silent') return decided;
      throw new RequestError('unavailable', 'The node that runs this turn does not answer; ask again.');
    } finally {
      this.#asked.delete(ask);
    }
  }

  /** One sign of life, and what it finds out about the others. */
  async beat(): Promise<void> {
    const askedAt = performance.now();
    try {
      const { keys, node } = this.link;
      await this.link.lookForNewMasters();
      const [now, known, dead] = (await this.link.plain('beat', [keys.nodes], [node, DEAD_MS])) as [
        number,
        number,
        string[],
      ];
      this.link.learnTime(now, askedAt);
      // What was sent meanwhile may have been lost, and what this node wrote of its sockets as well.
      const away = this.#answeringSince === Infinity;
      this.#answered();
      if (this.#known && (away || known === 0)) this.#gaps();
      this.#known = true;
      if (this.steady) for (const each of dead) await this.#bury(each);
      await this.#listen();
    } catch (error) {
      this.#answeringSince = Infinity;
      this.#logger.debug(`no sign of life: ${String(error)}`);
    }
  }

  #answered(): void {
    this.#lastAnswer = performance.now();
    if (this.#answeringSince === Infinity) this.#answeringSince = this.#lastAnswer;
  }

  async #renew(): Promise<void> {
    try {
      await this.leases.renew();
    } catch (error) {
      this.#answeringSince = Infinity;
      this.#logger.debug(`leases were not kept: ${String(error)}`);
    }
  }

  async #bury(node: string): Promise<void> {
    await this.#deaths(node);
    await this.link.command((client) => client.zrem(this.link.keys.nodes, node));
    this.#logger.log(`node ${node} is gone`);
  }

  /** Tells itself something: a channel on which that does not come is connected anew. */
  async #listen(): Promise<void> {
    if (this.#subscriber.status === 'ready' && this.#heard < this.#sent - 1) {
      this.#logger.warn('the channel of this node is silent: connecting anew');
      this.#heard = this.#sent;
      this.#subscriber.disconnect(true);
      return;
    }
    this.#sent += 1;
    await this.#tell(this.link.node, { beat: this.#sent });
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#subscriber.subscribe(this.link.keys.channel(this.link.node));
      this.#heard = this.#sent;
      this.#gaps();
    } catch (error) {
      this.#logger.debug(`subscribing failed: ${String(error)}`);
    }
  }

  async #tell(node: string, message: Message): Promise<void> {
    await this.link.command((client) =>
      client.publish(this.link.keys.channel(node), JSON.stringify(message)),
    );
  }

  #take(text: string): void {
    const message = JSON.parse(text) as Message;
    if ('packet' in message) {
      const { packet } = message;
      this.#packets({ ...packet, events: numbered(packet.events, packet.from) });
    } else if ('stop' in message) void this.#end(message);
    else if ('answer' in message) this.#asked.get(message.answer)?.(message.ending ?? undefined);
    else this.#heard = message.beat;
  }

  async #end({ stop, from, ask }: Extract<Message, { stop: unknown }>): Promise<void> {
    try {
      const ending = await this.#stop(stop.sessionId, stop.turnId, stop.ending);
      await this.#tell(from, { answer: ask, ending: ending ?? null });
    } catch (error) {
      this.#logger.warn(`a turn could not be ended for another node: ${String(error)}`);
    }
  }
}
