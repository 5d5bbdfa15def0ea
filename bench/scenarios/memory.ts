/** What a session that does nothing holds, after a garbage collection. */
import type { Contender } from '../contenders.ts';
import type { Scenario } from './scenario.ts';

const ASK = { tokens: 20, rate: 0 };
const SETTLE_MS = 1_000;
const KEEPS_SESSIONS: readonly Contender[] = ['mooring-memory', 'mooring-sqlite', 'mooring-redis'];

export const memory: Scenario = {
  name: 'memory',
  what: ({ memory: { sessions } }) => `${sessions} idle clients, then gone after an answer of 20 tokens each`,
  contenders: ['socketio-relay', 'ws-relay', 'mooring-memory', 'mooring-sqlite', 'mooring-redis'],
  figures: () => ({
    attachedHeap: { title: 'heap of an attached idle session (of a relay: of a socket)', unit: 'bytes' },
    attachedRss: { title: 'resident memory of the same', unit: 'bytes', detail: true },
    detachedHeap: {
      title: 'heap of a detached idle session (of a relay: what a closed socket leaves)',
      unit: 'bytes',
    },
  }),
  measure: (run, contender) =>
    run.against(contender, async (server, load) => {
      const { sessions } = run.size.memory;
      // As many beforehand: what grows only once, such as pools, is not a session's.
      await load.connect({ ...server.at, count: sessions });
      if (KEEPS_SESSIONS.includes(contender)) await load.answers({ ask: ASK, spreadMs: sessions });
      await load.close();
      await pause(SETTLE_MS);
      const before = await server.settled();
      await load.connect({ ...server.at, count: sessions });
      await pause(SETTLE_MS);
      const attached = await server.settled();
      if (KEEPS_SESSIONS.includes(contender)) await load.answers({ ask: ASK, spreadMs: sessions });
      await load.close();
      await pause(SETTLE_MS);
      const detached = await server.settled();
      return {
        attachedHeap: (attached.heap - before.heap) / sessions,
        attachedRss: (attached.rss - before.rss) / sessions,
        detachedHeap: (detached.heap - before.heap) / sessions,
      };
    }),
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
