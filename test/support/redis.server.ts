import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { Redis } from 'ioredis';

const BINARY = ['/usr/bin/redis-server', '/usr/local/bin/redis-server'].find((path) => existsSync(path));

/** Why there is no Redis, or undefined. With CI=true a missing one is a failure, not a reason to skip. */
export function redisMissing(): string | undefined {
  if (BINARY) return undefined;
  const line = 'redis-server is not installed: apt-get install redis-server';
  if (process.env['CI'] === 'true') throw new Error(line);
  return line;
}

/** A real Redis on a free port, with an append-only file in a folder of its own, as a deployment has it. */
export class RedisServer {
  #process?: ChildProcess;

  private constructor(
    readonly port: number,
    readonly folder: string,
  ) {}

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), await mkdtemp(join(tmpdir(), 'mooring-redis-')));
    await server.up();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it on what its folder holds. */
  async up(): Promise<void> {
    const options = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--dir', this.folder, '--save', ''];
    options.push('--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction');
    options.push('--databases', '500');
    this.#process = spawn(BINARY ?? 'redis-server', options, { stdio: 'ignore' });
    await this.#answers();
  }

  /** As kill -9 does. */
  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (!running || running.exitCode !== null) return;
    const ended = once(running, 'exit');
    running.kill('SIGKILL');
    await ended;
  }

  /** It answers nothing, and keeps its connections, until it is thawed. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Its data is gone at the next start. */
  async forget(): Promise<void> {
    await rm(join(this.folder, 'appendonlydir'), { recursive: true, force: true });
  }

  /** Deletes all that it holds, without a restart. */
  async flush(): Promise<void> {
    const client = this.client();
    await client.flushall();
    client.disconnect();
  }

  client(): Redis {
    return new Redis({ port: this.port, host: '127.0.0.1' });
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    const client = new Redis({
      port: this.port,
      host: '127.0.0.1',
      retryStrategy: () => 20,
      maxRetriesPerRequest: null,
    });
    client.on('error', () => undefined);
    await client.ping();
    client.disconnect();
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
