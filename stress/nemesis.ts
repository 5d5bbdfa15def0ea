import type { Gateway } from './gateway.ts';
import { now, type BlowRecord } from './ledgers.ts';
import type { Blow } from './plan.ts';
import type { Proxy } from './proxy.ts';
import type { Redis } from './redis.ts';

/** A gateway, and the network between it and Redis, where there is one. */
export interface Node {
  gateway: Gateway;
  toRedis?: Proxy;
}

/** Does to the gateways' processes and to Redis what a plan says, one thing at a time, and undoes it in the end. */
export class Nemesis {
  readonly records: BlowRecord[] = [];
  /** What this machine cannot do, one line each. */
  readonly skipped = new Set<string>();
  kills = 0;
  stops = 0;
  others = 0;
  #last: Promise<void> = Promise.resolve();
  #pauses = new Set<() => void>();
  #healing = false;

  private readonly nodes: readonly [Node, ...Node[]];
  private readonly redis: Redis | undefined;

  constructor(nodes: readonly [Node, ...Node[]], redis: Redis | undefined) {
    this.nodes = nodes;
    this.redis = redis;
  }

  strike(blow: Blow): void {
    const { gateway } = this.#node(blow);
    this.#last = this.#last
      // One that is late, since a start took long, is not struck after the end.
      .then(() => (this.#healing ? undefined : this.#strike(blow)))
      .catch((error: unknown) => void gateway.deaths.push(`after ${blow.do}: ${String(error)}`));
  }

  /** What has begun is finished at once, and everything is as it was. */
  async heal(): Promise<void> {
    this.#healing = true;
    for (const end of this.#pauses) end();
    await this.#last;
    this.#healing = false;
    const [{ gateway }] = this.nodes;
    gateway.limitDisk(false);
    await gateway.moveClock(0);
  }

  async #strike(blow: Blow): Promise<void> {
    const at = now();
    const detail = await this.#do(blow);
    if (detail !== undefined) this.records.push({ at, until: now(), kind: blow.do, detail });
  }

  /** @returns what is told of it; undefined where this machine cannot do it */
  async #do(blow: Blow): Promise<string | undefined> {
    const { gateway, toRedis } = this.#node(blow);
    switch (blow.do) {
      case 'kill': {
        this.kills += 1;
        const how = String(await gateway.end('SIGKILL'));
        await this.#pause(blow.downMs);
        await gateway.start(blow.shiftMs);
        return how;
      }
      case 'stop': {
        this.stops += 1;
        const code = await gateway.end('SIGTERM');
        if (code !== 0) gateway.deaths.push(`SIGTERM ended it with ${code} instead of 0:\n${gateway.output.slice(-2_000)}`); // prettier-ignore
        await this.#pause(blow.downMs);
        await gateway.start();
        return String(code);
      }
      case 'fill-disk':
        if (!gateway.limitDisk(true)) {
          this.skipped.add('fill-disk: prlimit is missing');
          return undefined;
        }
        this.others += 1;
        await this.#pause(blow.forMs);
        gateway.limitDisk(false);
        return '';
      case 'move-clock':
        this.others += 1;
        await gateway.moveClock(blow.shiftMs);
        return `${blow.shiftMs} ms`;
      case 'freeze':
        this.others += 1;
        gateway.freeze();
        await this.#pause(blow.forMs);
        gateway.thaw();
        return `node ${blow.node} for ${blow.forMs} ms`;
      case 'cut-off':
        this.others += 1;
        toRedis?.wall();
        await this.#pause(blow.forMs);
        toRedis?.unwall(blow.then);
        return `node ${blow.node} for ${blow.forMs} ms, the rest ${blow.then}`;
      default:
        this.others += 1;
        return this.#strikeRedis(blow);
    }
  }

  async #strikeRedis(blow: RedisBlow): Promise<string> {
    const { redis } = this;
    if (!redis) throw new Error('there is no Redis');
    if (blow.do === 'freeze-redis') {
      redis.freeze();
      await this.#pause(blow.forMs);
      redis.thaw();
      return `for ${blow.forMs} ms`;
    }
    if (blow.do === 'older-redis') {
      redis.keep();
      await this.#pause(blow.agoMs);
    }
    await redis.kill();
    if (blow.do === 'empty-redis') redis.forget();
    if (blow.do === 'older-redis') redis.recall();
    await this.#pause(blow.downMs);
    await redis.up();
    return `down for ${blow.downMs} ms`;
  }

  #node(blow: Blow): Node {
    const number = 'node' in blow ? (blow.node ?? 0) : 0;
    return this.nodes[number % this.nodes.length] ?? this.nodes[0];
  }

  #pause(ms: number): Promise<void> {
    if (this.#healing) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#pauses.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#pauses.add(end);
    });
  }
}

type RedisBlow = Extract<Blow, { do: `${string}-redis` }>;
