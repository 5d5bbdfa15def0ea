/** A gateway is stopped while it streams, once with the time that it needs and once at once. */
import type { CameBack, Ended } from '../clients/witnesses.ts';
import { waitUntil, type ClientsProcess, type GatewayProcess } from '../site.ts';
import type { Figure, Scenario } from './scenario.ts';

const NOT_READY_PATIENCE_MS = 5_000;
/** What is still to be done when the last turn has been ended: sent, flushed, closed. */
const AFTERWARDS_MS = 2_000;
/** Tokens of an answer that outlasts any drain here. */
const ENDLESS = 2_000;

export const drain: Scenario = {
  name: 'drain',
  what: ({ drain: { streams, timeoutMs } }) =>
    `SIGTERM amid ${streams} streams, DRAIN_TIMEOUT=${timeoutMs}ms`,
  play: async (site, { drain: { streams: count, rate, timeoutMs } }) => {
    const [dataDir, env] = [site.dataDir(), { DRAIN_TIMEOUT: `${timeoutMs}ms` }];
    const clients = await site.clients();
    const first = await site.gateway(dataDir, env);
    const endless = { tokens: ENDLESS, rate };
    const short = { tokens: Math.round((rate * timeoutMs * 0.7) / 1_000), rate };
    const sent = async (): Promise<number> => (await site.upstreamStats()).tokens;
    await clients.call('askAll', { url: first.url, count, asks: [short, endless] });

    site.say(`${count} streams run; SIGTERM`);
    const begin = performance.now();
    const exited = first.signal('SIGTERM').then((code) => ({ code, ms: performance.now() - begin }));
    const notReadyMs = await waitUntil(async () => (await first.ready()) !== 200, NOT_READY_PATIENCE_MS);
    const anew = await clients.call<{ connection?: string; turn?: string }>('tryAnew', { url: first.url });
    const { code, ms } = await exited;
    const ended = await clients.call<Ended>('ended');
    for (const why of ended.failures) site.say(`cut: ${why}`);
    const model = await sent();
    const second = await site.gateway(dataDir, env);
    const back = await clients.call<CameBack>('comeBack', { url: second.url });
    for (const example of back.examples) site.say(example);

    const isDraining = (refusal: string | undefined): number => (refusal?.includes('"draining"') ? 0 : 1);
    return [
      { what: 'until it was not ready', value: notReadyMs ?? Infinity, unit: 'ms', limit: 1_000 },
      { what: 'new connections not refused as draining', value: isDraining(anew.connection), limit: 0 },
      { what: 'new turns not refused as draining', value: isDraining(anew.turn), limit: 0 },
      { what: 'clients not told that it drains', value: count - ended.told, limit: 0 },
      { what: 'answers that completed', value: ended.completed },
      { what: 'answers ended as interrupted', value: ended.interrupted },
      { what: 'answers whose end nobody was told', value: ended.cut, limit: 0 },
      { what: 'exit code', value: typeof code === 'number' ? code : Infinity, limit: 0 },
      { what: 'until it had exited', value: ms, unit: 'ms', limit: timeoutMs + AFTERWARDS_MS },
      ...lossesOf(back, count),
      { what: 'tokens sent by the model', value: model },
      { what: 'of these on their way as turns were ended', value: model - back.storedTokens },
      ...(await stopAtOnce(clients, second, { count, endless, restart: () => site.gateway(dataDir, env) })),
    ];
  },
};

/** A second signal ends it now, which loses no more than a crash does: nothing that was shown. */
async function stopAtOnce(
  clients: ClientsProcess,
  gateway: GatewayProcess,
  how: { count: number; endless: object; restart: () => Promise<GatewayProcess> },
): Promise<Figure[]> {
  const { count, endless, restart } = how;
  await clients.call('askAll', { url: gateway.url, count, asks: [endless, endless] });
  const exited = gateway.signal('SIGTERM');
  await waitUntil(async () => (await gateway.ready()) !== 200, NOT_READY_PATIENCE_MS);
  const begin = performance.now();
  void gateway.signal('SIGTERM');
  const code = await exited;
  const ms = performance.now() - begin;
  await clients.call('ended');
  const next = await restart();
  const back = await clients.call<CameBack>('comeBack', { url: next.url });
  return [
    { what: 'second signal: until it had exited', value: ms, unit: 'ms', limit: 1_000 },
    { what: 'second signal: exit codes other than 1', value: code === 1 ? 0 : 1, limit: 0 },
    ...lossesOf(back, count).map((figure) => ({ ...figure, what: `second signal: ${figure.what}` })),
  ];
}

function lossesOf({ recovered, different, altered }: CameBack, count: number): Figure[] {
  return [
    { what: 'clients that came back and were not recovered', value: count - recovered, limit: 0 },
    { what: 'answers seen and replayed other than stored', value: different, limit: 0 },
    { what: "stored answers other than the model's", value: altered, limit: 0 },
  ];
}
