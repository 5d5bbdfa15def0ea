/** A Redis as a deployment has it, and what it tells of itself. */
import { spawn } from 'node:child_process';
import { Redis } from 'ioredis';
import { freePort, keep, temporaryFolder } from './processes.ts';

/** Since its start. CPU time in µs, memory in bytes. */
export interface RedisUsage {
  cpu: number;
  /** Every command that it carried out, those that scripts call included. */
  calls: number;
  memory: number;
  connections: number;
}

export class RedisServer {
  readonly url: string;
  readonly #stop: () => Promise<void>;
  readonly #client: Redis;

  private constructor(port: number, stop: () => Promise<void>) {
    this.url = `redis://127.0.0.1:${port}`;
    this.#stop = stop;
    this.#client = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null });
    this.#client.on('error', () => undefined);
  }

  /**
   * @param durable with an append-only file that is forced to the disk each second, as Mooring's store wants it
   * @returns undefined where the machine has no redis-server
   */
  static async start(durable: boolean): Promise<RedisServer | undefined> {
    const port = await freePort();
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', temporaryFolder()];
    args.push('--appendonly', durable ? 'yes' : 'no', '--appendfsync', 'everysec');
    args.push('--maxmemory-policy', 'noeviction');
    const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const { output, stop } = keep(child);
    const ready = await new Promise<boolean>((resolve) => {
      child.once('error', () => resolve(false));
      child.once('exit', () => resolve(false));
      child.stdout.on('data', () => {
        if (output().includes('Ready to accept connections')) resolve(true);
      });
    });
    return ready ? new RedisServer(port, stop) : undefined;
  }

  async usage(): Promise<RedisUsage> {
    const info = await this.#client.info();
    const value = (name: string): number =>
      Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? NaN);
    return {
      cpu: (value('used_cpu_user') + value('used_cpu_sys')) * 1e6,
      calls: value('total_commands_processed'),
      memory: value('used_memory'),
      // Not this one.
      connections: value('connected_clients') - 1,
    };
  }

  async stop(): Promise<void> {
    this.#client.disconnect();
    await this.#stop();
  }
}
