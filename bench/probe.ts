/**
 * Loaded into every contender's process before its own code (`--import`), the gateway's included: answers how
 * much CPU time and memory the process has used. It adds no work of its own while nobody asks.
 */
import { isMainThread } from 'node:worker_threads';
import type { Redis as Client } from 'ioredis';
import { serve } from './rpc.ts';

/** CPU time of all threads in µs; memory in bytes. */
export interface Usage {
  cpu: number;
  heap: number;
  rss: number;
  /** Commands that it sent to Redis, a script being one. */
  redisCommands: number;
}

let redisCommands = 0;

/** Counts what a gateway sends to Redis, where it has one. */
async function countRedisCommands(): Promise<void> {
  // Nobody else's process is to be larger by it.
  const { Redis } = await import('ioredis');
  const { sendCommand } = Redis.prototype;
  Redis.prototype.sendCommand = function (this: Client, ...words: Parameters<typeof sendCommand>) {
    redisCommands += 1;
    return sendCommand.apply(this, words);
  };
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  const { heapUsed, rss } = process.memoryUsage();
  return { cpu: user + system, heap: heapUsed, rss, redisCommands };
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
  serve({ usage, settled });
  process.channel?.unref();
}
