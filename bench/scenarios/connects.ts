/** How soon many clients are connected, each with a session of its own where there are sessions. */
import type { Scenario } from './scenario.ts';

const WARM_UP_CLIENTS = 500;
/** The clients' process is busy for more than this share of the time: it may be what is measured. */
const BUSY = 0.9;

export const connects: Scenario = {
  name: 'connects',
  what: ({ connects: { clients } }) => `${clients} clients connecting, 200 at a time`,
  contenders: ['socketio-relay', 'ws-relay', 'mooring-memory', 'mooring-sqlite', 'mooring-redis'],
  figures: () => ({
    ms: { title: 'until all are connected, and their sessions open', unit: 'ms' },
    cpu: { title: 'CPU of the server per client', unit: 'µs' },
    loadCpu: { title: 'CPU of the clients per client', unit: 'µs', detail: true },
  }),
  measure: (run, contender) =>
    run.against(contender, async (server, load) => {
      const { clients } = run.size.connects;
      await load.connect({ ...server.at, count: Math.min(clients, WARM_UP_CLIENTS) });
      await load.close();
      const before = await server.usage();
      const { ms, cpu } = await run.alone(() => load.connect({ ...server.at, count: clients }));
      const after = await server.usage();
      if (cpu / 1_000 > ms * BUSY) run.warn('the clients were busy all the time: the server may be faster');
      return { ms, cpu: (after.cpu - before.cpu) / clients, loadCpu: cpu / clients };
    }),
};
