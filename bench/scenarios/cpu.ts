/** What a token costs the server: paced, as models stream, and at full speed. */
import { CONTENDERS, REDIS_NODES } from '../contenders.ts';
import type { Streamed } from '../run.ts';
import type { FigureInfo, Scenario } from './scenario.ts';

const RATE = 50;
/** Several nodes are compared with one in a scenario of their own. */
const ALONE = CONTENDERS.filter((contender) => (REDIS_NODES[contender] ?? 1) === 1);

const FIGURES: Record<string, FigureInfo> = {
  cpu: { title: 'CPU of the server per upstream token', unit: 'µs' },
  busy: { title: 'CPU of the server', unit: 'cores', detail: true },
  upstreamCpu: { title: 'CPU of the upstream per token', unit: 'µs', detail: true },
  loadCpu: { title: 'CPU of the clients per token', unit: 'µs', detail: true },
  upstreamLateP99: { title: 'lateness of the upstream, p99', unit: 'ms', detail: true },
  loadLateP99: { title: 'lateness of the clients, p99', unit: 'ms', detail: true },
};

function figuresOf({ cpuPerToken, busy, upstream, answered }: Streamed): Record<string, number> {
  return {
    cpu: cpuPerToken,
    busy,
    upstreamCpu: upstream.cpu / upstream.tokens,
    loadCpu: answered.cpu / upstream.tokens,
    upstreamLateP99: upstream.lateP99,
    loadLateP99: answered.lateP99,
  };
}

export const paced: Scenario = {
  name: 'paced',
  what: ({ paced: { streams, fewer, tokens } }) =>
    `${streams} streams of ${tokens} tokens at ${RATE} tokens/s, and ${fewer}`,
  contenders: ALONE,
  figures: ({ paced: { fewer } }) => ({
    ...FIGURES,
    fewerCpu: { title: `the same with ${fewer} streams`, unit: 'µs' },
    fewerBusy: { title: `CPU of the server, ${fewer} streams`, unit: 'cores', detail: true },
  }),
  measure: (run, contender) =>
    run.against(contender, async (server, load) => {
      const { streams, fewer, tokens, warmUp } = run.size.paced;
      await load.connect({ ...server.at, count: streams });
      await load.answers({ ask: { tokens: warmUp, rate: RATE }, spreadMs: 500 });
      const order = { ask: { tokens, rate: RATE }, spreadMs: 500 };
      const withRoom = await run.stream(server, load, { ...order, clients: fewer });
      const all = await run.stream(server, load, order);
      return { ...figuresOf(all), fewerCpu: withRoom.cpuPerToken, fewerBusy: withRoom.busy };
    }),
};

export const full: Scenario = {
  name: 'full',
  what: ({ full: { streams, tokens, times } }) =>
    `${streams} streams of ${tokens} tokens at full speed, ${times} times`,
  contenders: ALONE,
  figures: () => FIGURES,
  measure: (run, contender) =>
    run.against(contender, async (server, load) => {
      const { streams, tokens, times } = run.size.full;
      const ask = { tokens, rate: 0 };
      await load.connect({ ...server.at, count: streams });
      await load.answers({ ask: { tokens: Math.ceil(tokens / 2), rate: 0 } });
      return figuresOf(await run.stream(server, load, { ask, times }));
    }),
};
