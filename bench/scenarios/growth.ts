/** Whether a unit of work costs more when there is more of everything. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Opened } from '../load.ts';
import { seed } from '../seed.ts';
import { quantile } from '../stats.ts';
import type { FigureInfo, Scenario } from './scenario.ts';

const RATE = 50;
/** How often each of several things that are compared is measured. */
const TURNS = 8;
/** All answers have begun by then, and what their beginning cost is over. */
const SKIP_MS = 2_000;

function each(
  values: number[],
  info: (value: number) => Record<string, FigureInfo>,
): Record<string, FigureInfo> {
  return Object.assign({}, ...values.map(info)) as Record<string, FigureInfo>;
}

export const growth: Scenario = {
  name: 'growth',
  what: ({ growth: { streams, rate } }) => `${streams.join(', ')} streams at ${rate} tokens/s each`,
  contenders: ['mooring-sqlite'],
  figures: ({ growth: { streams } }) =>
    each(streams, (count) => ({
      [`streams${count}`]: { title: `CPU per token, ${count} streams`, unit: 'µs' },
      [`busy${count}`]: { title: `CPU of the server, ${count} streams`, unit: 'cores', detail: true },
    })),
  async measure(run, contender) {
    const { streams, rate, seconds } = run.size.growth;
    const figures: Record<string, number> = {};
    for (const count of streams) {
      await run.against(contender, async (server, load) => {
        await load.connect({ ...server.at, count });
        // As much work beforehand, whatever the number: a cold program is not what is compared.
        await load.answers({ ask: { tokens: 200, rate: 0 }, clients: streams[0] ?? count, times: 2 });
        const ask = { tokens: Math.ceil((rate * (SKIP_MS + seconds * 1_000)) / 1_000), rate };
        const window = { skipMs: SKIP_MS, windowMs: (seconds - 1) * 1_000 };
        const streamed = await run.streamWindow(server, load, { ask, spreadMs: 1_000 }, window);
        figures[`streams${count}`] = streamed.cpuPerToken;
        figures[`busy${count}`] = streamed.busy;
      });
    }
    return figures;
  },
};

export const transcripts: Scenario = {
  name: 'transcripts',
  what: ({ transcripts: { messages } }) => `sessions with ${messages.join(', ')} messages, opened`,
  contenders: ['mooring-sqlite'],
  figures: ({ transcripts: { messages } }) =>
    each(messages, (count) => ({
      [`open${count}`]: { title: `opening ${count} messages: the snapshot's time, p50`, unit: 'ms' },
      [`openCpu${count}`]: { title: `opening ${count} messages: CPU of the server`, unit: 'µs' },
      [`resume${count}`]: {
        title: `coming back up to date to ${count} messages: time, p50`,
        unit: 'ms',
        detail: true,
      },
    })),
  async measure(run, contender) {
    const { messages, opens } = run.size.transcripts;
    const sessions = messages.map((count) => ({
      sessionId: `a-session-with-${count}-messages`,
      messages: count,
    }));
    const figures: Record<string, number> = {};
    await run.against(
      contender,
      async (server, load) => {
        const order = { url: server.url, key: KEY };
        for (const { sessionId } of sessions) await load.call('opens', { ...order, sessionId, times: opens });
        const taken = sessions.map((session) => ({
          ...session,
          snapshots: [] as number[],
          resumes: [] as number[],
          cpu: 0,
        }));
        // In turn, so that a slow moment of the machine concerns all of them.
        await run.alone(async () => {
          for (const session of Array.from({ length: TURNS }, () => taken).flat()) {
            const before = await server.usage();
            const { sessionId } = session;
            const times = Math.ceil(opens / TURNS);
            const { snapshots, resumes } = await load.call<Opened>('opens', { ...order, sessionId, times });
            session.cpu += (await server.usage()).cpu - before.cpu;
            session.snapshots.push(...snapshots);
            session.resumes.push(...resumes);
          }
        });
        for (const { messages: count, snapshots, resumes, cpu } of taken) {
          figures[`open${count}`] = quantile(snapshots, 0.5);
          figures[`resume${count}`] = quantile(resumes, 0.5);
          figures[`openCpu${count}`] = cpu / (snapshots.length + resumes.length);
        }
      },
      (dataDir) => seed(dataDir, KEY, sessions),
    );
    return figures;
  },
};

const KEY = 'k'.repeat(43);

export const detached: Scenario = {
  name: 'detached',
  what: ({ detached: { sessions, streams } }) =>
    `${sessions.join(', ')} detached sessions in the store, and ${streams} streams beside them`,
  contenders: ['mooring-sqlite'],
  figures: ({ detached: { sessions } }) =>
    each(sessions, (count) => ({
      [`heap${count}`]: { title: `heap with ${count} detached sessions`, unit: 'MB' },
      [`store${count}`]: { title: `store of ${count} detached sessions`, unit: 'MB' },
      [`start${count}`]: { title: `start with ${count} detached sessions`, unit: 'ms' },
      [`cpu${count}`]: { title: `CPU per token beside ${count} detached sessions`, unit: 'µs' },
    })),
  async measure(run, contender) {
    const { sessions, streams, tokens } = run.size.detached;
    const figures: Record<string, number> = {};
    for (const count of sessions) {
      await run.against(
        contender,
        async (server, load) => {
          figures[`start${count}`] = server.startMs;
          figures[`store${count}`] = megabytes(server.dataDir);
          figures[`heap${count}`] = (await server.settled()).heap / 1e6;
          await load.connect({ ...server.at, count: streams });
          await load.answers({ ask: { tokens: 100, rate: RATE }, spreadMs: 500 });
          const ask = { tokens, rate: RATE };
          const { cpuPerToken } = await run.stream(server, load, { ask, spreadMs: 500 });
          figures[`cpu${count}`] = cpuPerToken;
        },
        (dataDir) =>
          seed(
            dataDir,
            KEY,
            Array.from({ length: count }, (_, index) => ({
              sessionId: `detached-session-${index}`,
              messages: 2,
            })),
          ),
      );
    }
    return figures;
  },
};

function megabytes(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0) / 1e6;
}
