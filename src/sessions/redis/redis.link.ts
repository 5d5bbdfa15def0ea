import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as setTimeoutOf } from 'node:timers';
import { setTimeout } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { newEpoch } from '../session.js';
import { StoreUnavailable } from '../session.store.js';
import { RedisKeys, type SessionKeys } from './redis.keys.js';
import { SCRIPTS, type ScriptName } from './redis.scripts.js';
import { parseRedisUrl } from '../../redis.url.js';

/** A command without an answer by then counts as lost. Sends carry the same limit, and are not made later. */
export const ANSWER_MS = 1_000;
const RECONNECT_MS = { first: 50, most: 500 };
/** A connection on which nothing was answered for so long is replaced. */
const SILENT_MS = 3_000;
/** The longest that an answer may take from which the time is learned. */
const PROMPT_MS = 250;
const JOIN_AGAIN_MS = 250;
/** The major version of Redis that has all that scripts call. */
const OLDEST = 7;

export type ScriptReply = readonly unknown[];

export interface RedisTiming {
  /** How long nobody else claims a session for whose waiting turn a node has just answered: tokens then need no hop. */
  acceptorMs: number;
  /** So long after Redis was out of a node's reach, that node takes nobody for dead. Owners renew meanwhile. */
  steadyMs: number;
  /** For so long after Redis was restarted owners may write anew what it lost, before its absence is believed. */
  settleMs: number;
}

const TIMING: RedisTiming = { acceptorMs: 500, steadyMs: 2_000, settleMs: 1_500 };

/**
 * The connection to Redis: one for commands, and which run of Redis it reaches. A run ends with a restart or a
 * failover; what was written under an earlier one may be missing its end, which scripts are told by the
 * generation that they are given.
 */
export class RedisLink {
  readonly keys: RedisKeys;
  /** This process, for as long as it lives. */
  readonly node = randomBytes(6).toString('hex');
  readonly #logger = new Logger(RedisLink.name);
  readonly #client: Redis | Cluster;
  readonly #hashes = new Map<ScriptName, string>();
  readonly #restarted: (() => Promise<void>)[] = [];
  #runs: string[] | undefined;
  #joining?: Promise<void>;
  /** The masters that were asked for their run, one a partition. */
  #joinedTo = '';
  /** Of a cluster, by partition. */
  #slots: number[] = [];
  #rejoining?: NodeJS.Timeout;
  #settledAt = 0;
  /** On this process's monotonic clock: when Redis answered last, or was connected to. */
  #lastAnswer = 0;
  /** What Redis's clock is ahead of this process's monotonic one, milliseconds. */
  #ahead = performance.timeOrigin;
  #closed = false;
  #complaint = '';
  /** Commands sent: scripts, and what reads. */
  commands = 0;

  constructor(
    private readonly url: string,
    readonly timing: RedisTiming = TIMING,
  ) {
    const { clustered } = parseRedisUrl(url);
    this.keys = new RedisKeys(clustered);
    for (const [name, text] of Object.entries(SCRIPTS)) {
      this.#hashes.set(name as ScriptName, createHash('sha1').update(text).digest('hex'));
    }
    this.#client = this.connect('commands');
    this.#client.on('ready', () => {
      this.#lastAnswer = performance.now();
      void this.#join().catch(() => undefined);
    });
    this.#client.on('close', () => (this.#runs = undefined));
  }

  /** Another connection to the same Redis, for what blocks or subscribes. Its errors are logged once a cause. */
  connect(purpose: string): Redis | Cluster {
    const client = openRedis(this.url, purpose === 'commands');
    let last = '';
    client.on('error', (error: Error) => {
      if (error.message !== last) this.#logger.warn(`redis (${purpose}): ${error.message}`);
      last = error.message;
    });
    client.on('ready', () => {
      if (last !== '') this.#logger.log(`redis (${purpose}): connected again`);
      last = '';
    });
    return client;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Redis's clock, epoch milliseconds, as well as it is known here. */
  now(): number {
    return Math.round(performance.now() + this.#ahead);
  }

  /** Redis was restarted a moment ago: what it does not hold may be about to be written anew. */
  get settling(): boolean {
    return performance.now() < this.#settledAt;
  }

  /** Waits out that moment. @returns false where it had to be waited for: whoever missed something looks again */
  async settled(): Promise<boolean> {
    const waitMs = this.#settledAt - performance.now();
    if (waitMs <= 0) return true;
    await setTimeout(waitMs);
    return false;
  }

  /** Called when Redis was restarted since this process last spoke to it. */
  onRestarted(listener: () => Promise<void>): void {
    this.#restarted.push(listener);
  }

  /** Runs a script on one session: its keys, then `more`. @throws StoreUnavailable */
  async onSession(
    name: ScriptName,
    keys: SessionKeys,
    words: readonly (string | number)[],
    more: readonly string[] = [],
  ): Promise<ScriptReply> {
    const { record, log, messages, places, requests, gone, index } = keys;
    const { all, idle, empty, attached, due, agents } = index;
    return this.onPartition(
      name,
      keys.partition,
      [record, log, messages, places, requests, gone, all, idle, empty, attached, due, agents, ...more],
      words,
    );
  }

  /** Runs a script under the generation of a partition, which may have changed once. @throws StoreUnavailable */
  async onPartition(
    name: ScriptName,
    partition: number,
    keys: readonly string[],
    words: readonly (string | number)[],
  ): Promise<ScriptReply> {
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const run = this.#runs?.[partition];
      if (run === undefined) throw new StoreUnavailable('not connected to Redis');
      const epoch = newEpoch();
      const generation = this.keys.partition(partition).generation;
      const reply = await this.#run(name, [generation, ...keys], [run, epoch, this.node, ...words]);
      if (reply === 'unknown script' || (reply as ScriptReply)[0] === 'stale') await this.#join();
      else return reply as ScriptReply;
    }
    throw new StoreUnavailable('Redis is being restarted');
  }

  /** Runs a script that knows no generations. @throws StoreUnavailable */
  async plain(
    name: ScriptName,
    keys: readonly string[],
    words: readonly (string | number)[],
  ): Promise<unknown> {
    if (!this.#runs) throw new StoreUnavailable('not connected to Redis');
    const reply = await this.#run(name, keys, words);
    if (reply !== 'unknown script') return reply;
    await this.#join();
    return this.#run(name, keys, words);
  }

  /** Commands that only read, or that may be repeated. @throws StoreUnavailable */
  async command<T>(ask: (client: Redis | Cluster) => Promise<T>): Promise<T> {
    if (!this.#runs) throw new StoreUnavailable('not connected to Redis');
    this.commands += 1;
    try {
      const answer = await ask(this.#client);
      this.#lastAnswer = performance.now();
      return answer;
    } catch (error) {
      this.#replaceSilent(error);
      throw new StoreUnavailable(error);
    }
  }

  /** Waits until Redis was reached, for a while. */
  async reached(withinMs: number): Promise<boolean> {
    const until = performance.now() + withinMs;
    while (!this.#runs && !this.#closed && performance.now() < until) {
      await setTimeout(20);
    }
    return this.#runs !== undefined;
  }

  /** Half of what an answer took is how far this may be off: one that took long tells nothing. */
  learnTime(redisNow: number, askedAt: number): void {
    const answeredAt = performance.now();
    if (answeredAt - askedAt <= PROMPT_MS) this.#ahead = redisNow - (askedAt + answeredAt) / 2;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#runs = undefined;
    clearTimeout(this.#rejoining);
    this.#client.disconnect();
    await this.#joining?.catch(() => undefined);
  }

  async #run(
    name: ScriptName,
    keys: readonly string[],
    words: readonly (string | number)[],
  ): Promise<unknown> {
    this.commands += 1;
    try {
      const reply = await this.#client.evalsha(this.#hashes.get(name) ?? '', keys.length, ...keys, ...words);
      this.#lastAnswer = performance.now();
      return reply;
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return 'unknown script';
      this.#replaceSilent(error);
      throw new StoreUnavailable(error);
    }
  }

  /** A connection over which nothing comes any more may be dead without either end knowing. */
  #replaceSilent(error: unknown): void {
    if (!(error instanceof Error) || error.message !== 'Command timed out') return;
    if (performance.now() - this.#lastAnswer < SILENT_MS || !(this.#client instanceof Redis)) return;
    this.#lastAnswer = performance.now();
    this.#logger.warn('Redis does not answer: connecting anew');
    this.#client.disconnect(true);
  }

  /** Finds out which run of Redis answers, once at a time, and hands it the scripts. */
  #join(): Promise<void> {
    return (this.#joining ??= this.#begin().finally(() => (this.#joining = undefined)));
  }

  async #begin(): Promise<void> {
    try {
      const masters = this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client];
      const runs = new Map<string, string>();
      for (const master of masters) {
        const info = await master.info();
        this.#inspect(info);
        runs.set(addressOf(master), runOf(info));
        for (const text of Object.values(SCRIPTS)) await master.script('LOAD', text);
      }
      if (this.#client instanceof Cluster) await this.#learnSlots(this.#client);
      const mastersOf = this.#masters();
      const found = mastersOf.map((master) => runs.get(master) ?? '');
      // One that is being promoted is not known yet; a run that is nobody's must not become a generation.
      if (found.includes('')) throw new Error('a master is not known yet');
      const asked = performance.now();
      const [seconds, micros] = await masters[0]!.time();
      this.learnTime(Number(seconds) * 1000 + Math.floor(Number(micros) / 1000), asked);
      let ageMs = Infinity;
      for (const partition of this.keys.allPartitions()) {
        const { generation, since } = this.keys.partition(partition);
        const age = await this.#client.evalsha(
          this.#hashes.get('begin') ?? '',
          2,
          generation,
          since,
          found[partition] ?? '',
        );
        ageMs = Math.min(ageMs, Number(age));
      }
      // Whoever found the restart first: for everybody it is as long ago.
      this.#settledAt = performance.now() + this.timing.settleMs - ageMs;
      this.#runs = found;
      this.#joinedTo = mastersOf.join(' ');
    } catch (error) {
      this.#runs = undefined;
      this.#complain(`Redis cannot be used: ${(error as Error).message}`);
      // The connection may stand, so that nothing else would ask again.
      clearTimeout(this.#rejoining);
      if (!this.#closed) {
        this.#rejoining = setTimeoutOf(() => void this.#join().catch(() => undefined), JOIN_AGAIN_MS).unref();
      }
      throw new StoreUnavailable(error);
    }
    // Not waited for: those that listen ask Redis, and may have to join once more.
    void this.#tellRestarted();
  }

  /** @throws Error where Redis cannot do what the scripts ask of it */
  #inspect(info: string): void {
    const field = (name: string): string => fieldOf(info, name);
    if (Number.parseInt(field('redis_version'), 10) < OLDEST)
      throw new Error(`it is version ${field('redis_version')}, and must be ${OLDEST} or later`);
    const policy = field('maxmemory_policy');
    if (field('maxmemory') !== '0' && policy !== 'noeviction')
      this.#complain(`maxmemory-policy is ${policy}: a full Redis drops conversations; set it to noeviction`);
  }

  /** Once, until something else is wrong. */
  #complain(message: string): void {
    if (message !== this.#complaint && !this.#closed) this.#logger.error(message);
    this.#complaint = message;
  }

  #lastTold?: string;

  async #tellRestarted(): Promise<void> {
    const now = this.#runs?.join(' ');
    const first = this.#lastTold === undefined;
    if (now === this.#lastTold) return;
    this.#lastTold = now;
    if (first) return;
    this.#logger.warn('Redis was restarted: histories go on under new epochs');
    for (const listener of this.#restarted) {
      await listener().catch((error: unknown) =>
        this.#logger.warn(`after a restart of Redis: ${String(error)}`),
      );
    }
  }

  /**
   * To be called now and then: a master of a cluster that was replaced tells nobody, and one that comes back may know the
   * scripts of before, as if it had never been away.
   */
  async lookForNewMasters(): Promise<void> {
    if (this.#runs && this.#masters().join(' ') !== this.#joinedTo) await this.#join();
  }

  async #learnSlots(cluster: Cluster): Promise<void> {
    if (this.#slots.length > 0) return;
    const { keys } = this;
    this.#slots = await Promise.all(
      keys
        .allPartitions()
        .map(async (each) => Number(await cluster.cluster('KEYSLOT', keys.partition(each).generation))),
    );
  }

  /** By partition, as far as this connection knows. */
  #masters(): string[] {
    const client = this.#client;
    if (!(client instanceof Cluster)) return [addressOf(client)];
    return this.#slots.map((slot) => client.slots[slot]?.[0] ?? '');
  }
}

/**
 * What a history is continued under: this process of Redis, and its replication id, which every promotion changes. A
 * master that was a replica for a while is not what it was before, though the process is the same.
 */
function runOf(info: string): string {
  const run = fieldOf(info, 'run_id');
  return run && `${run}.${fieldOf(info, 'master_replid')}`;
}

/** Of what INFO says. */
function fieldOf(info: string, name: string): string {
  return new RegExp(`^${name}:(\\S*)`, 'm').exec(info)?.[1] ?? '';
}

function addressOf({ options: { host, port } }: Redis): string {
  return `${host}:${port}`;
}

function openRedis(url: string, commands: boolean): Redis | Cluster {
  const target = parseRedisUrl(url);
  const options: RedisOptions = {
    ...target.options,
    connectTimeout: ANSWER_MS,
    // A subscription waits for the next connection; a command does not: whoever asked is told so.
    ...(commands
      ? {
          commandTimeout: ANSWER_MS,
          enableOfflineQueue: false,
          maxRetriesPerRequest: 0,
          autoResendUnfulfilledCommands: false,
          // A master that became a replica: whoever is the master now is found by connecting anew.
          reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
        }
      : { maxRetriesPerRequest: null }),
    retryStrategy: (times) => Math.min(RECONNECT_MS.first * times, RECONNECT_MS.most),
  };
  if (!target.clustered) return new Redis(options);
  const { retryStrategy, enableOfflineQueue, ...redisOptions } = options;
  return new Cluster(target.nodes, {
    redisOptions,
    enableOfflineQueue: enableOfflineQueue ?? true,
    clusterRetryStrategy: retryStrategy as (times: number) => number,
    slotsRefreshTimeout: ANSWER_MS,
    retryDelayOnFailover: 100,
    maxRedirections: 4,
  });
}
