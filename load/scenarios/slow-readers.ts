/** Clients that never read what is streamed at them. */
import type { Usage } from '../../bench/probe.ts';
import type { Poured } from '../clients/deaf.ts';
import { pause, type GatewayProcess, type Site } from '../site.ts';
import type { Size } from '../sizes.ts';
import type { Scenario } from './scenario.ts';

const SAMPLE_MS = 50;
const MB = 1_000_000;
const LIMIT_MB = 100;

interface Measured extends Poured {
  /** Bytes that the gateway's process took beyond what it had before, at its most. */
  rss: number;
  inside: number;
}

/** The gateway's memory at its most while it happens, against what it was before. */
async function grown<Result>(
  gateway: GatewayProcess,
  act: () => Promise<Result>,
): Promise<Result & Pick<Measured, 'rss' | 'inside'>> {
  const before = await gateway.settled();
  const inside = ({ heap, external }: Usage): number => heap + external;
  const most = { rss: 0, inside: 0 };
  let over = false;
  const watch = (async () => {
    while (!over) {
      const now = await gateway.usage();
      most.rss = Math.max(most.rss, now.rss - before.rss);
      most.inside = Math.max(most.inside, inside(now) - inside(before));
      await pause(SAMPLE_MS);
    }
  })();
  const result = await act();
  over = true;
  await watch;
  return { ...result, ...most };
}

/** A gateway that has had a first answer: what runs for the first time takes memory that it keeps. */
async function pour(site: Site, { slowReaders }: Size, deaf: boolean): Promise<Measured> {
  const { readers: count, tokens, length } = slowReaders;
  const gateway = await site.gateway(site.dataDir());
  const clients = await site.clients();
  const { url } = gateway;
  await clients.call('goDeaf', { url, count: 1, deaf: false });
  await clients.call('pour', { ask: { tokens, rate: 0, length } });
  await clients.call('goDeaf', { url, count, deaf });
  const measured = await grown(gateway, () =>
    clients.call<Poured>('pour', { ask: { tokens, rate: 0, length } }),
  );
  await gateway.stop();
  return measured;
}

export const slowReaders: Scenario = {
  name: 'slow-readers',
  what: ({ slowReaders: { readers, tokens, length } }) =>
    `${readers} clients that never read while ${((readers * tokens * length) / MB).toFixed(0)} MB are streamed at them`,
  play: async (site, size) => {
    const without = await pour(site, size, false);
    site.say(`without them: ${(without.rss / MB).toFixed(0)} MB more; now with them`);
    const measured = await pour(site, size, true);
    return [
      { what: 'streamed at those who do not read', value: measured.characters / MB, unit: 'MB' },
      { what: 'answers that did not reach who reads', value: measured.lost, limit: 0 },
      { what: 'sockets that were closed for it', value: measured.closed },
      { what: 'memory of the process, at its most', value: measured.rss / MB, unit: 'MB', limit: LIMIT_MB },
      { what: 'heap and buffers, at their most', value: measured.inside / MB, unit: 'MB', limit: LIMIT_MB },
      { what: 'memory of the process without them', value: without.rss / MB, unit: 'MB' },
      { what: 'heap and buffers without them', value: without.inside / MB, unit: 'MB' },
    ];
  },
};
