/**
 * Loaded into every contender's process before its own code (`--import`), the gateway's included: answers how
 * much CPU time and memory the process has used. It adds no work of its own while nobody asks.
 */
import { isMainThread } from 'node:worker_threads';
import { serve } from './rpc.ts';

/** CPU time of all threads in µs; memory in bytes. */
export interface Usage {
  cpu: number;
  heap: number;
  /** Of buffers and the like, outside of the heap. */
  external: number;
  rss: number;
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { cpu: user + system, heap: heapUsed, external, rss };
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
  serve({ usage, settled });
  process.channel?.unref();
}
