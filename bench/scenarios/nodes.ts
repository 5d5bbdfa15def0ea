/** What several nodes on one Redis cost against one: the same load on each, and the same load in all. */
import { REDIS_NODES } from '../contenders.ts';
import { quantile } from '../stats.ts';
import type { TakeoversOrder, Takeovers } from '../takeovers.ts';
import type { Scenario } from './scenario.ts';

const RATE = 50;

export const nodes: Scenario = {
  name: 'nodes',
  what: ({ nodes: { streams, all, tokens } }) =>
    `${streams} streams a node, and ${all} on all nodes together, of ${tokens} tokens at ${RATE} tokens/s`,
  contenders: ['mooring-redis', 'mooring-redis-2', 'mooring-redis-2-apart', 'mooring-redis-4'],
  figures: ({ nodes: { streams, all } }) => ({
    one: { title: 'CPU of the nodes per token, 1 stream', unit: 'µs', detail: true },
    oneCommands: { title: 'commands that the nodes send to Redis per token, 1 stream', unit: 'commands' },
    cpu: { title: `CPU of the nodes per token, ${streams} streams a node`, unit: 'µs' },
    redisCpu: { title: `CPU of Redis per token, ${streams} streams a node`, unit: 'µs' },
    commands: {
      title: `commands that the nodes send to Redis per token, ${streams} streams a node`,
      unit: 'commands',
    },
    calls: {
      title: `commands that Redis carries out per token, those of scripts included`,
      unit: 'commands',
    },
    busy: { title: `CPU of the nodes, ${streams} streams a node`, unit: 'cores', detail: true },
    allCpu: { title: `CPU of the nodes per token, ${all} streams in all`, unit: 'µs' },
    allRedisCpu: { title: `CPU of Redis per token, ${all} streams in all`, unit: 'µs' },
    allCommands: {
      title: `commands that the nodes send to Redis per token, ${all} streams in all`,
      unit: 'commands',
    },
    allBusy: { title: `CPU of the nodes, ${all} streams in all`, unit: 'cores', detail: true },
    connections: { title: 'connections to Redis, a node', unit: 'connections' },
  }),
  measure: (run, contender) =>
    run.against(contender, async (server, load) => {
      const { streams, all, tokens, warmUp } = run.size.nodes;
      const count = REDIS_NODES[contender] ?? 1;
      await load.connect({ ...server.at, count: Math.max(streams * count, all) });
      await load.answers({ ask: { tokens: warmUp, rate: RATE }, spreadMs: 500 });
      const order = { ask: { tokens, rate: RATE }, spreadMs: 500 };
      const one = await run.stream(server, load, { ...order, clients: 1 });
      const each = await run.stream(server, load, { ...order, clients: streams * count });
      const together = await run.stream(server, load, { ...order, clients: all });
      return {
        one: one.cpuPerToken,
        oneCommands: one.redis?.commands ?? NaN,
        cpu: each.cpuPerToken,
        redisCpu: each.redis?.cpu ?? NaN,
        commands: each.redis?.commands ?? NaN,
        calls: each.redis?.calls ?? NaN,
        busy: each.busy,
        allCpu: together.cpuPerToken,
        allRedisCpu: together.redis?.cpu ?? NaN,
        allCommands: together.redis?.commands ?? NaN,
        allBusy: together.busy,
        connections: ((await server.redis?.usage())?.connections ?? NaN) / count,
      };
    }),
};

export const takeover: Scenario = {
  name: 'takeover',
  what: ({ takeover: { sessions, tokens } }) =>
    `${sessions} clients amid an answer of ${tokens} tokens at ${RATE} tokens/s whose node is killed, back on another one`,
  contenders: ['mooring-redis-2'],
  figures: () => ({
    caughtUpP50: { title: 'from the kill until caught up on another node, p50', unit: 'ms' },
    caughtUpP99: { title: 'from the kill until caught up on another node, p99', unit: 'ms' },
    endedP50: { title: 'from the kill until the turn has ended, p50', unit: 'ms' },
    endedMost: { title: 'from the kill until the turn has ended, the latest', unit: 'ms' },
  }),
  measure: (run, contender) =>
    run.against(contender, async (server, load) => {
      const { sessions, tokens } = run.size.takeover;
      const [first = '', second = ''] = server.at.urls;
      const ask = { tokens, rate: RATE };
      const order: TakeoversOrder = { urls: [first, second], sessions, ask, afterMs: 1_000 };
      load.once('amid', () => void server.kill(0));
      const { caughtUp, ended, lost } = await load.call<Takeovers>('takeovers', order);
      run.lost(lost, sessions);
      return {
        caughtUpP50: quantile(caughtUp, 0.5),
        caughtUpP99: quantile(caughtUp, 0.99),
        endedP50: quantile(ended, 0.5),
        endedMost: Math.max(...ended),
      };
    }),
};

const ANSWER = { tokens: 20, rate: 0 };

export const stored: Scenario = {
  name: 'stored',
  what: ({ stored: { sessions, answers } }) =>
    `memory of Redis by session: ${sessions} that are open and empty, then after each of ${answers} answers of 20 tokens`,
  contenders: ['mooring-redis'],
  figures: ({ stored: { answers } }) => ({
    empty: { title: 'memory of Redis by open session without messages', unit: 'bytes' },
    first: { title: 'memory of Redis by session after 1 answer', unit: 'bytes' },
    last: { title: `memory of Redis by session after ${answers} answers`, unit: 'bytes' },
    left: { title: `the same after its client has gone`, unit: 'bytes' },
  }),
  measure: (run, contender) =>
    run.against(contender, async (server, load) => {
      const { sessions, answers } = run.size.stored;
      const memory = async (): Promise<number> => (await server.redis?.usage())?.memory ?? NaN;
      const before = await memory();
      await load.connect({ ...server.at, count: sessions });
      const empty = await memory();
      await load.answers({ ask: ANSWER, spreadMs: sessions });
      const first = await memory();
      await load.answers({ ask: ANSWER, times: answers - 1, spreadMs: sessions });
      const last = await memory();
      await load.close();
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const left = await memory();
      return {
        empty: (empty - before) / sessions,
        first: (first - before) / sessions,
        last: (last - before) / sessions,
        left: (left - before) / sessions,
      };
    }),
};

const SETTLE_MS = 1_000;
