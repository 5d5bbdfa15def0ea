import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './ports.ts';

const BINARY = ['/usr/bin/redis-server', '/usr/local/bin/redis-server'].find((path) => existsSync(path));
const START_TIMEOUT_MS = 10_000;
const ASK_AGAIN_MS = 10;
const FILES = 'appendonlydir';

/** Why there is no Redis, or undefined. */
export const redisMissing =
  BINARY === undefined ? 'redis-server is not installed: apt-get install redis-server' : undefined;

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A redis-server as a deployment has it, with an append-only file, that is killed, frozen, robbed and set back. */
export class Redis {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'mooring-stress-redis-'));
  #child?: ChildProcess;

  private constructor(port: number) {
    this.port = port;
  }

  static async start(): Promise<Redis> {
    const redis = new Redis(await freePort());
    await redis.up();
    return redis;
  }

  /** On what its folder holds; resolves when it answers. */
  async up(): Promise<void> {
    const { PATH = '' } = process.env;
    const options = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--dir', this.#folder, '--save', ''];
    options.push('--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction');
    const child = spawn(BINARY ?? 'redis-server', options, { stdio: 'ignore', env: { PATH } });
    running.add(child);
    child.once('exit', () => running.delete(child));
    this.#child = child;
    const end = performance.now() + START_TIMEOUT_MS;
    while (!(await answers(this.port))) {
      if (performance.now() > end) throw new Error('redis-server did not start');
      await sleep(ASK_AGAIN_MS);
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** What it has written down by now; it is whole up to some moment. */
  keep(): void {
    rmSync(join(this.#folder, 'kept'), { recursive: true, force: true });
    cpSync(join(this.#folder, FILES), join(this.#folder, 'kept'), { recursive: true });
  }

  /** While it is down. */
  forget(): void {
    rmSync(join(this.#folder, FILES), { recursive: true, force: true });
  }

  /** While it is down: it has what was kept. */
  recall(): void {
    this.forget();
    cpSync(join(this.#folder, 'kept'), join(this.#folder, FILES), { recursive: true });
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** False also while it reads its file. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('data', (reply: Buffer) => {
      resolve(reply.toString().startsWith('+PONG'));
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
