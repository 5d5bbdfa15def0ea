import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Proxy } from '../stress/proxy.ts';
import { until } from './support/channel.js';
import { newCredentials, textOf, type TestClient } from './support/client.js';
import { Cluster, portOf, report, spread } from './support/cluster.js';
import { disposeAll, onDispose } from './support/gateway.js';
import { assertValidOpenAiMessages } from './support/prompt.validity.js';
import { redisMissing, RedisServer } from './support/redis.server.js';

/** Sessions whose turns run on the node that is killed. */
const STREAMS = Number(process.env['CLUSTER_STREAMS'] ?? 20);
const PATIENCE_MS = 180_000;
/** Less than a client waits for a sign of life. */
const FREEZE_MS = 10_000;
const TOOL = ['current_time', '{}'] as const;

const missing = redisMissing();

if (missing) {
  describe('a node that is gone', () => {
    it.skip(missing, () => undefined);
  });
}

(missing ? describe.skip : describe)('a node that is gone', () => {
  afterEach(disposeAll, 60_000);

  it(
    '[CLU-3 STO-7] kill -9: clients are caught up on another node, the turns end as node_lost, and those that wait run there',
    async () => {
      const cluster = await Cluster.start();
      const talks = await Promise.all(
        Array.from({ length: STREAMS }, async () => {
          const joined = await cluster.join(0);
          const { sessionId } = joined.talk;
          const { turnId } = await joined.client.send(sessionId, `question ${sessionId}`);
          await joined.client.send(sessionId, `and then ${sessionId}`);
          return { ...joined, turnId };
        }),
      );
      for (let index = 0; index < STREAMS; index += 1) {
        const call = await cluster.vendor.nextCall();
        for (let token = 0; token < 30; token += 1) call.text(`t${token} `);
      }
      for (const { client } of talks) {
        await client.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
      }
      await cluster.node(0).kill('SIGKILL');
      const killedAt = performance.now();
      const caughtUp: number[] = [];
      const ended: number[] = [];
      const wentOn: number[] = [];
      const answered = (async () => {
        for (let index = 0; index < STREAMS; index += 1) {
          const call = await cluster.vendor.nextCall();
          wentOn.push(performance.now() - killedAt);
          expect(call.asked).toMatch(/^and then/);
          assertValidOpenAiMessages(call.messages);
          call.text('after the crash').finish();
        }
      })();
      const whole = Array.from({ length: 30 }, (_, token) => `t${token} `).join('');
      await Promise.all(
        talks.map(async ({ talk, opened, client, turnId }) => {
          const seen = textOf(client.events, turnId);
          const position = client.position(opened);
          const back = await cluster.client(1);
          const again = await back.open({ ...talk, position });
          caughtUp.push(performance.now() - killedAt);
          expect(again).toMatchObject({ recovered: true, position: { epoch: position.epoch } });
          const ends = [...again.events, ...back.events].some(
            (event) => event.type === 'turn' && event.turnId === turnId && event.state === 'interrupted',
          );
          if (!ends) expect(await back.turn('interrupted', turnId)).toMatchObject({ reason: 'node_lost' });
          ended.push(performance.now() - killedAt);
          await until(async () => (await back.open(talk)).turns.length === 0, 'the waiting turn to have run');
          const { messages } = await back.do('session:history', { sessionId: talk.sessionId });
          expect(messages.map(({ role, metadata }) => metadata?.status ?? role)).toEqual([
            ...['user', 'interrupted', 'user', 'completed'],
          ]);
          const stored = messages[1]?.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
          expect(seen.length).toBeGreaterThan(0);
          expect(seen + textOf([...again.events, ...back.events], turnId)).toBe(stored);
          expect(whole.startsWith(stored ?? '?')).toBe(true);
        }),
      );
      await answered;
      report(spread('from kill -9 to being caught up elsewhere', caughtUp));
      report(spread('from kill -9 to the turn ended as node_lost', ended));
      report(spread('from kill -9 to the model asked for the next one', wentOn));
      // Its sockets are gone with it, for everybody.
      await Promise.all(talks.map(({ client }) => client.close()));
    },
    PATIENCE_MS,
  );

  it(
    '[CLU-4] a node that stood still amid a turn writes nothing to it, calls no tool, and serves again',
    async () => {
      const cluster = await Cluster.start();
      const { client, talk, opened } = await cluster.join(0);
      const { sessionId } = talk;
      const { turnId } = await client.send(sessionId, 'what time is it?');
      const call = await cluster.vendor.nextCall();
      call.text('Let me see. ');
      await client.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
      const position = client.position(opened);
      cluster.node(0).freeze();
      const frozenAt = performance.now();
      // It finds this in its socket when it is thawed: a tool to call for a turn that is not its own any more.
      call.tool('c1', ...TOOL);
      const other = await cluster.client(1);
      const again = await other.open({ ...talk, position });
      expect(again.recovered).toBe(true);
      expect(await other.turn('interrupted', turnId)).toMatchObject({ reason: 'node_lost' });
      const end = other.position(again);
      // Long enough for every node to take it for dead.
      await until(() => cluster.node(1).output().includes('is gone'), 'the frozen node to be taken for dead');
      await sleep(Math.max(0, frozenAt + FREEZE_MS - performance.now()));
      cluster.node(0).thaw();
      await until(() => cluster.ready(0), 'the thawed node to be ready');
      const { turnId: next } = await other.send(sessionId, 'and now?');
      const nextCall = await cluster.vendor.nextCall();
      expect(nextCall.asked).toBe('and now?');
      assertValidOpenAiMessages(nextCall.messages);
      nextCall.text('Late.').finish();
      await other.turn('completed', next);
      // Its client, whose connection still stands, is told all that.
      await until(() => hasSeen(client, next), 'the client of the thawed node to be told');
      expect(client.position(opened)).toEqual(other.position(again));
      const { client: back } = await cluster.join(0, talk);
      const { messages } = await back.do('session:history', { sessionId });
      expect(messages.map(({ role, metadata }) => metadata?.status ?? role)).toEqual([
        ...['user', 'interrupted', 'user', 'completed'],
      ]);
      expect(messages[1]?.parts).toMatchObject([{}, { type: 'text', text: 'Let me see. ' }]);
      const replay = await back.open({ ...talk, position: end });
      expect(replay.recovered).toBe(true);
      const strays = [...replay.events, ...other.events].filter(
        (event) => 'turnId' in event && event.turnId === turnId && event.seq > end.seq,
      );
      expect(strays).toEqual([]);
      expect(await cluster.toolRuns()).toEqual([]);
    },
    PATIENCE_MS,
  );

  it(
    '[CLU-2 CLU-4] a session is closed whose turn is on a dead node, or on one that stands still: it stays closed',
    async () => {
      const cluster = await Cluster.start({ nodes: 3 });
      const talks = await Promise.all(
        [0, 1].map(async (index) => {
          const runs = await cluster.join(index);
          await runs.client.send(runs.talk.sessionId, 'a long answer');
          const call = await cluster.vendor.nextCall();
          call.text('one ');
          await runs.client.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
          const other = await cluster.join(2, runs.talk);
          return { ...runs, call, other: other.client };
        }),
      );
      await cluster.node(0).kill('SIGKILL');
      cluster.node(1).freeze();
      for (const { talk, other } of talks) await other.do('session:close', { sessionId: talk.sessionId });
      for (const { other } of talks) {
        await until(() => other.events.at(-1)?.type === 'session', 'the end of the session');
      }
      cluster.node(1).thaw();
      for (const { call } of talks) await until(() => call.closed, 'its turn to be given up');
      await until(() => cluster.ready(1), 'the thawed node to be ready');
      for (const { talk } of talks) {
        const { client } = await cluster.join(1);
        expect(await client.refused('session:open', { ...talk, create: true })).toBe('session_not_found');
      }
    },
    PATIENCE_MS,
  );

  it(
    '[CLU-4] one node is cut off from Redis: the other takes over, the first writes nothing and calls no tool, and serves again',
    async () => {
      const redis = await RedisServer.start();
      onDispose(() => redis.stop());
      const hole = await BlackHole.open();
      let cut = false;
      const proxy = await Proxy.listen(() => (cut ? hole.port : redis.port));
      onDispose(() => proxy.close());
      const cluster = await Cluster.start({
        redis,
        redisUrl: (node) => (node === 0 ? `redis://127.0.0.1:${portOf(proxy.url)}` : redis.url),
      });
      const { client, talk, opened } = await cluster.join(0);
      const { sessionId } = talk;
      const idle = await cluster.join(0);
      const { turnId } = await client.send(sessionId, 'what time is it?');
      const call = await cluster.vendor.nextCall();
      call.text('Let me see. ');
      await client.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
      const position = client.position(opened);

      cut = true;
      proxy.cut('half-open', PATIENCE_MS);
      const other = await cluster.client(1);
      const again = await other.open({ ...talk, position });
      expect(again.recovered).toBe(true);
      expect(await other.turn('interrupted', turnId)).toMatchObject({ reason: 'node_lost' });
      // The node that is cut off cannot know, and has to ask before it calls a tool.
      call.tool('c1', ...TOOL);
      const { turnId: next } = await other.send(sessionId, 'and now?');
      (await cluster.vendor.nextCall()).text('Late.').finish();
      await other.turn('completed', next);
      await until(async () => !(await cluster.ready(0)), 'the node that is cut off to say so');
      expect(await cluster.ready(1)).toBe(true);
      expect(await idle.client.refused('message:send', { sessionId: idle.talk.sessionId, messageId: 'm1', text: 'Hi' })).toBe('unavailable'); // prettier-ignore

      cut = false;
      hole.letGo();
      proxy.heal(true);
      await until(() => cluster.ready(0), 'the node to be back');
      // Its clients are served again, those that are still connected and those that come back.
      await until(() => hasSeen(client, next), 'the client that stayed to be told');
      await idle.client.close();
      const returned = await cluster.join(0, idle.talk);
      const sent = await returned.client.send(idle.talk.sessionId, 'Hi again');
      (await cluster.vendor.nextCall()).text('Hi.').finish();
      await returned.client.turn('completed', sent.turnId);
      const back = await cluster.join(0, talk);
      const { messages } = await back.client.do('session:history', { sessionId });
      expect(messages.map(({ role, metadata }) => metadata?.status ?? role)).toEqual([
        ...['user', 'interrupted', 'user', 'completed'],
      ]);
      expect(await cluster.toolRuns()).toEqual([]);
      // What was refused was not done later.
      const stored = await returned.client.do('session:history', { sessionId: idle.talk.sessionId });
      expect(stored.messages.map(({ id }) => id)).not.toContain('m1');
      // A tool is called by who owns its turn.
      const third = await back.client.send(sessionId, 'once more');
      (await cluster.vendor.nextCall()).tool('c2', ...TOOL);
      (await cluster.vendor.nextCall()).text('Now.').finish();
      await back.client.turn('completed', third.turnId);
      expect(await cluster.toolRuns()).toMatchObject([{ callId: 'c2' }]);
    },
    PATIENCE_MS,
  );

  it(
    '[CLU-6] a turn goes on while its only client is on another node, and ends the grace time after that one left; a dead node holds no client',
    async () => {
      const cluster = await Cluster.start({ env: { DETACH_POLICY: 'interrupt', DETACH_GRACE: '2s' } });
      const runs = await cluster.join(0);
      const { sessionId } = runs.talk;
      const { turnId } = await runs.client.send(sessionId, 'a long answer');
      const call = await cluster.vendor.nextCall();
      call.text('one ');
      const watches = await cluster.join(1, runs.talk);
      await runs.client.close();
      // Several times the grace time, in words that come on the way.
      for (let second = 0; second < 6; second += 1) {
        call.text(`${second} `);
        await sleep(1_000);
      }
      expect((await watches.client.open(runs.talk)).turns).toMatchObject([{ turnId, state: 'running' }]);
      await watches.client.close();
      await until(() => call.closed, 'the turn to be ended');
      const back = await cluster.join(1, runs.talk);
      await until(async () => (await back.client.open(runs.talk)).turns.length === 0, 'its end');
      const { messages } = await back.client.do('session:history', { sessionId });
      expect(messages[1]?.metadata?.status).toBe('interrupted');

      const talk = newCredentials();
      await cluster.join(1, talk);
      await cluster.node(1).kill('SIGKILL');
      await until(
        async () => (await cluster.admin<{ state: string }>(0, `/${talk.sessionId}`)).state === 'detached',
        'a dead node to hold no client',
      );
    },
    PATIENCE_MS,
  );
});

function hasSeen({ events }: TestClient, turnId: string): boolean {
  return events.some(
    (event) => event.type === 'turn' && event.turnId === turnId && event.state === 'completed',
  );
}

/** Takes connections and never says a word. */
class BlackHole {
  readonly #sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {
    server.on('connection', (socket) => {
      socket.on('error', () => undefined);
      socket.pause();
      this.#sockets.add(socket);
    });
  }

  static async open(): Promise<BlackHole> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const hole = new BlackHole(server);
    onDispose(async () => {
      hole.letGo();
      await new Promise((resolve) => server.close(resolve));
    });
    return hole;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  letGo(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }
}
