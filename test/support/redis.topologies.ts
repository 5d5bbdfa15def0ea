import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { freePort } from './redis.server.js';

const HOST = '127.0.0.1';

/** So long until a cluster takes a silent master for dead, ms. */
const IMPATIENT = ['--cluster-node-timeout', '1000'];

/** Several processes of Redis that are one thing, ended together. */
class Processes {
  readonly #running = new Map<number, ChildProcess>();
  readonly #folders: string[] = [];

  async server(port: number, ...options: string[]): Promise<void> {
    const folder = await this.folder();
    const words = ['--port', `${port}`, '--bind', HOST, '--dir', folder, '--save', '', ...options];
    this.#running.set(port, spawn('redis-server', words, { stdio: 'ignore' }));
    await answers(port);
  }

  /** A server that is told by a file what it is, which it also writes. */
  async configured(port: number, lines: string[], ...options: string[]): Promise<void> {
    const file = join(await this.folder(), 'redis.conf');
    await writeFile(file, `${[`port ${port}`, `bind ${HOST}`, ...lines].join('\n')}\n`);
    this.#running.set(port, spawn('redis-server', [file, ...options], { stdio: 'ignore' }));
    await answers(port);
  }

  async kill(port: number): Promise<void> {
    const running = this.#running.get(port);
    this.#running.delete(port);
    if (!running || running.exitCode !== null) return;
    const ended = once(running, 'exit');
    running.kill('SIGKILL');
    await ended;
  }

  async stop(): Promise<void> {
    for (const port of [...this.#running.keys()]) await this.kill(port);
    for (const folder of this.#folders) await rm(folder, { recursive: true, force: true });
  }

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'mooring-redis-'));
    this.#folders.push(folder);
    return folder;
  }
}

/** A Redis Cluster of three masters, with a replica of each where that is wanted. */
export class RedisCluster {
  private constructor(
    private readonly processes: Processes,
    readonly ports: number[],
  ) {}

  static async start({ replicas = false } = {}): Promise<RedisCluster> {
    const processes = new Processes();
    const ports: number[] = [];
    for (let index = 0; index < (replicas ? 6 : 3); index += 1) ports.push(await freePort());
    for (const port of ports) {
      const bus = await freePort();
      await processes.server(port, '--cluster-enabled', 'yes', '--cluster-port', `${bus}`, ...IMPATIENT);
    }
    const nodes = ports.map((port) => `${HOST}:${port}`);
    const shape = ['--cluster-replicas', replicas ? '1' : '0', '--cluster-yes'];
    await promisify(execFile)('redis-cli', ['--cluster', 'create', ...nodes, ...shape]);
    for (const port of ports)
      await until(port, 'cluster info', (client) => client.cluster('INFO'), /cluster_state:ok/);
    return new RedisCluster(processes, ports);
  }

  get url(): string {
    return `redis-cluster://${this.ports.map((port) => `${HOST}:${port}`).join(',')}`;
  }

  /** Kills the master of a key, and waits until another one has its slot; gives its port. */
  async failOver(key: string): Promise<number> {
    const [first = 0] = this.ports;
    const slot = await ask(first, (client) => client.cluster('KEYSLOT', key));
    const masterOf = async (port: number): Promise<number> => {
      const ranges = (await ask(port, (client) => client.cluster('SLOTS'))) as unknown as [
        number,
        number,
        [string, number],
      ][];
      return ranges.find(([from, to]) => from <= slot && slot <= to)?.[2][1] ?? 0;
    };
    const master = await masterOf(first);
    const other = this.ports.find((port) => port !== master) ?? 0;
    await until(master, 'its replica', (client) => client.info('replication'), /state=online/);
    await this.processes.kill(master);
    for (let attempt = 0; (await masterOf(other)) === master; attempt += 1) {
      if (attempt > 600) throw new Error('nobody was promoted');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return master;
  }

  async flush(): Promise<void> {
    for (const port of this.ports) await ask(port, (client) => client.flushall());
  }

  /** How many keys each master holds. */
  sizes(): Promise<number[]> {
    return Promise.all(this.ports.map((port) => ask(port, (client) => client.dbsize())));
  }

  stop(): Promise<void> {
    return this.processes.stop();
  }
}

/** A master, a replica, and a sentinel that promotes it half a second after the master is gone. */
export class RedisSentinel {
  private constructor(
    private readonly processes: Processes,
    private readonly sentinel: number,
    readonly master: number,
    readonly replica: number,
  ) {}

  static async start(): Promise<RedisSentinel> {
    const processes = new Processes();
    const [master, replica, sentinel] = [await freePort(), await freePort(), await freePort()];
    await processes.server(master);
    await processes.server(replica, '--replicaof', HOST, `${master}`);
    await until(replica, 'replication', (client) => client.info('replication'), /master_link_status:up/);
    await processes.configured(
      sentinel,
      [
        `sentinel monitor mooring ${HOST} ${master} 1`,
        'sentinel down-after-milliseconds mooring 500',
        'sentinel failover-timeout mooring 5000',
      ],
      '--sentinel',
    );
    await until(sentinel, 'the replica', (client) => client.info('sentinel'), /slaves=1/);
    return new RedisSentinel(processes, sentinel, master, replica);
  }

  get url(): string {
    return `redis-sentinel://${HOST}:${this.sentinel}/mooring`;
  }

  /** Kills the master, and waits until the replica is one. */
  async failOver(): Promise<void> {
    await this.processes.kill(this.master);
    await until(this.replica, 'the promotion', (client) => client.info('replication'), /role:master/);
  }

  stop(): Promise<void> {
    return this.processes.stop();
  }
}

async function answers(port: number): Promise<void> {
  await ask(port, (client) => client.ping());
}

async function ask<T>(port: number, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis({ port, host: HOST, retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}

async function until(
  port: number,
  what: string,
  question: (client: Redis) => Promise<unknown>,
  answer: RegExp,
): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    if (answer.test(String(await ask(port, question)))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain for ${what}`);
}
