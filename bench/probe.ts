/**
 * Loaded into every contender's process before its own code (`--import`), the gateway's included: answers how
 * much CPU time and memory the process has used. It adds no work of its own while nobody asks.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';
import type { Redis as Client } from 'ioredis';
import { serve } from './rpc.ts';

/** CPU time of all threads in µs; memory in bytes. */
export interface Usage {
  cpu: number;
  heap: number;
  /** Of buffers and the like, outside of the heap. */
  external: number;
  rss: number;
  /** Commands that it sent to Redis, a script being one. */
  redisCommands: number;
}

let redisCommands = 0;

/** Counts what a gateway sends to Redis, where it has one. */
async function countRedisCommands(): Promise<void> {
  // Nobody else's process is to be larger by it.
  const { Redis } = await import('ioredis');
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own `this` below
  const { sendCommand } = Redis.prototype;
  Redis.prototype.sendCommand = function (this: Client, ...words: Parameters<typeof sendCommand>) {
    redisCommands += 1;
    return sendCommand.apply(this, words);
  };
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { cpu: user + system, heap: heapUsed, external, rss, redisCommands };
}

/** How late the event loop was since the last question, in ms. */
export interface Lateness {
  p99: number;
  max: number;
}

let loop: ReturnType<typeof monitorEventLoopDelay> | undefined;

function lateness(): Lateness {
  const seen = loop;
  loop = monitorEventLoopDelay({ resolution: 5 });
  loop.enable();
  if (!seen) return { p99: 0, max: 0 };
  seen.disable();
  return { p99: seen.percentile(99) / 1e6, max: seen.max / 1e6 };
}

async function settled(): Promise<Usage> {
  // Twice, with a pause: what finalisers and closed sockets let go of is collected by the second one.
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return usage();
}

if (isMainThread && process.send) {
  if (process.env['STORE'] === 'redis') await countRedisCommands();
  serve({ usage, settled, lateness });
  process.channel?.unref();
}
