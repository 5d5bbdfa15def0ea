/** Clients that never read what is streamed at them. */
import type { Usage } from '../../bench/probe.ts';
import { LIMITS } from '../../src/protocol.ts';
import type { Poured } from '../clients/deaf.ts';
import { pause, waitUntil, type GatewayProcess } from '../site.ts';
import type { Scenario } from './scenario.ts';

const SAMPLE_MS = 50;
const MB = 1_000_000;
const LIMIT_MB = 100;
const PATIENCE_MS = 60_000;
/** What the limit's own timer, and whoever looks, may be late. */
const SLACK_MS = 2_000;

interface Memory {
  /** Of the process, at its most. */
  rss: number;
  /** Heap and buffers that are held at the end, after a garbage collection. */
  held: number;
}

const heldIn = ({ heap, external }: Usage): number => heap + external;

async function memoryOf<Result>(
  gateway: GatewayProcess,
  act: () => Promise<Result>,
): Promise<{ result: Result; memory: Memory }> {
  let rss = 0;
  let over = false;
  const watch = (async () => {
    for (; !over; await pause(SAMPLE_MS)) rss = Math.max(rss, (await gateway.usage()).rss);
  })();
  const result = await act();
  over = true;
  await watch;
  return { result, memory: { rss, held: heldIn(await gateway.settled()) } };
}

export const slowReaders: Scenario = {
  name: 'slow-readers',
  what: ({ slowReaders: { readers, answers, tokens, length } }) =>
    `${readers} clients that never read while ${((readers * answers * tokens * length) / MB).toFixed(0)} MB are streamed at them`,
  play: async (site, { slowReaders: { readers: count, answers: times, tokens, length } }) => {
    const gateway = await site.gateway(site.dataDir());
    const clients = await site.clients();
    const { url } = gateway;
    const pour = (): Promise<Poured> => clients.call('pour', { ask: { tokens, rate: 0, length }, times });
    // The same twice, in one process: what it takes for the streams themselves it has by then.
    await clients.call('goDeaf', { url, count, deaf: false });
    const without = await memoryOf(gateway, pour);
    await clients.call('leaveDeaf');
    site.say(`without them: ${(without.memory.rss / MB).toFixed(0)} MB; now with them`);
    await clients.call('goDeaf', { url, count, deaf: true });
    const { result, memory } = await memoryOf(gateway, pour);
    const cutMs = await waitUntil(
      async () => (await gateway.metric('mooring_sockets')) === count,
      PATIENCE_MS,
    );
    const missing = await clients.call<number>('recover');
    return [
      { what: 'streamed at those who do not read', value: result.characters / MB, unit: 'MB' },
      { what: 'answers that did not reach who reads', value: result.lost, limit: 0 },
      {
        what: 'memory of the process, at its most, beyond that without them',
        value: Math.max(0, memory.rss - without.memory.rss) / MB,
        unit: 'MB',
        limit: LIMIT_MB,
      },
      {
        what: 'heap and buffers held for them',
        value: Math.max(0, memory.held - without.memory.held) / MB,
        unit: 'MB',
        limit: LIMIT_MB,
      },
      { what: 'memory of the process without them, at its most', value: without.memory.rss / MB, unit: 'MB' },
      {
        what: 'until all of them were cut off, after the last answer',
        value: cutMs ?? Infinity,
        unit: 'ms',
        limit: LIMITS.unsentTimeoutMs + SLACK_MS,
      },
      { what: 'that came back and had not all', value: missing, limit: 0 },
    ];
  },
};
