/** Everybody comes at once, while others have answers streamed at them. */
import type { Arrived } from '../clients/crowd.ts';
import type { StreamsEnd, Window } from '../clients/streams.ts';
import { pause } from '../site.ts';
import type { Scenario } from './scenario.ts';

const ANSWER_SECONDS = 5;

export const storm: Scenario = {
  name: 'storm',
  what: ({ storm: { clients, streams } }) =>
    `${clients} clients connect at once while ${streams} streams run`,
  play: async (site, { storm: { clients, streams, rate, calmMs } }) => {
    const gateway = await site.gateway(site.dataDir());
    const [watchers, crowd] = [await site.clients(), await site.clients()];
    const { url } = gateway;
    const ask = { tokens: Math.round(ANSWER_SECONDS * rate), rate, stamped: true };
    await watchers.call('stream', { url, count: streams, ask });
    await pause(calmMs);
    const calm = await watchers.call<Window>('window');
    site.say(
      `${streams} streams run, their tokens ${calm.p99.toFixed(0)} ms late (p99); ${clients} clients come`,
    );
    await gateway.lateness();
    const arrived = await crowd.call<Arrived>('arrive', { url, count: clients });
    const amid = await watchers.call<Window>('window');
    const loop = await gateway.lateness();
    const { answers, lost, failures } = await watchers.call<StreamsEnd>('endStreams');
    await crowd.call('leave');
    for (const [why, times] of Object.entries(arrived.failures)) site.say(`${times} clients failed: ${why}`);
    for (const why of failures.slice(0, 3)) site.say(`a stream ended: ${why}`);
    return [
      { what: 'clients that were not connected', value: clients - arrived.connected, limit: 0 },
      { what: 'until the last one had its session', value: arrived.ms, unit: 'ms', limit: 20_000 },
      { what: 'half of them', value: arrived.p50, unit: 'ms' },
      { what: 'streams that were cut', value: failures.length, limit: 0 },
      { what: `answers not whole, of ${answers}`, value: lost, limit: 0 },
      { what: `tokens late before, p99 of ${calm.tokens}`, value: calm.p99, unit: 'ms' },
      { what: `tokens late meanwhile, p99 of ${amid.tokens}`, value: amid.p99, unit: 'ms', limit: 250 },
      { what: "the gateway's event loop late meanwhile, p99", value: loop.p99, unit: 'ms' },
      { what: 'at most', value: loop.max, unit: 'ms' },
      { what: 'the latest token', value: amid.max, unit: 'ms' },
    ];
  },
};
