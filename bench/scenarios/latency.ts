/** How much later than it was sent upstream a token is received. */
import type { Scenario } from './scenario.ts';

/** As fast as large models are; few enough tokens that two cores carry the upstream, the server and the clients. */
const RATE = 20;
/** With less than this left of its core, a server's latency is that of its queue. */
const BUSY = 0.9;

export const latency: Scenario = {
  name: 'latency',
  hasTails: true,
  what: ({ latency: { streams, tokens, times } }) =>
    `${streams} streams at ${RATE} tokens/s, each ${times} answers of ${tokens} tokens, begun at any time`,
  contenders: ['socketio-relay', 'ws-relay', 'mooring-memory', 'mooring-sqlite', 'mooring-redis'],
  figures: () => ({
    firstP50: { title: 'first token, from its sending upstream to its receipt, p50', unit: 'ms' },
    firstP99: { title: 'first token, p99', unit: 'ms' },
    tokenP50: { title: 'any token, p50 (Mooring gathers for up to 40 ms)', unit: 'ms' },
    tokenP99: { title: 'any token, p99', unit: 'ms' },
    busy: { title: 'CPU of the server', unit: 'cores', detail: true },
    loadLateP99: { title: 'lateness of the clients, p99', unit: 'ms', detail: true },
    upstreamLateP99: { title: 'lateness of the upstream, p99', unit: 'ms', detail: true },
  }),
  measure: (run, contender) =>
    run.against(contender, async (server, load) => {
      const { streams, tokens, times } = run.size.latency;
      const ask = { tokens, rate: RATE, stamped: true };
      // Answers begin and end all the time, as many a second as end.
      const spreadMs = (tokens * 1_000) / RATE;
      await load.connect({ ...server.at, count: streams });
      await load.answers({ ask: { ...ask, tokens: 40 }, spreadMs: 500 });
      const { answered, upstream, busy } = await run.stream(server, load, { ask, times, spreadMs });
      if (busy > BUSY) run.warn(`it was saturated: it used ${busy.toFixed(2)} cores`);
      const { firstP50, firstP99, tokenP50, tokenP99, lateP99 } = answered;
      return {
        firstP50,
        firstP99,
        tokenP50,
        tokenP99,
        busy,
        loadLateP99: lateP99,
        upstreamLateP99: upstream.lateP99,
      };
    }),
};
