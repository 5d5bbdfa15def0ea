import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { until } from './support/channel.js';
import { textOf } from './support/client.js';
import { Cluster, report } from './support/cluster.js';
import { failingStart, gatewayProcess } from './support/gateway.process.js';
import { disposeAll, onDispose, temporaryDirectory } from './support/gateway.js';
import { Guest } from './support/guest.js';
import { assertValidOpenAiMessages } from './support/prompt.validity.js';
import { redisMissing, RedisServer } from './support/redis.server.js';

const PATIENCE_MS = 240_000;
/** How long Redis stands still, seconds; CLUSTER_FREEZE=60 is for whoever has the time. */
const FREEZES = [1, Number(process.env['CLUSTER_FREEZE'] ?? 10)];

const missing = redisMissing();

if (missing) {
  describe('Redis that fails', () => {
    it.skip(missing, () => undefined);
  });
}

(missing ? describe.skip : describe)('Redis that fails', () => {
  afterEach(disposeAll, 60_000);

  /** A turn on node 0 of which its client has seen the beginning, and a session at rest. */
  async function scene(cluster: Cluster) {
    const idle = await cluster.join(0);
    const rested = await idle.client.send(idle.talk.sessionId, 'before');
    (await cluster.vendor.nextCall()).text('At rest.').finish();
    await idle.client.turn('completed', rested.turnId);
    const guest = new Guest(cluster.node(0).url, { ...idle.talk, sessionId: `${idle.talk.sessionId}x` }, [
      'websocket',
    ]);
    onDispose(() => guest.close());
    await guest.settled();
    guest.send('first');
    await until(() => guest.accepted.length === 1);
    (await cluster.vendor.nextCall()).text('A first answer.').finish();
    await until(() => guest.ends.size === 1, 'the first answer');
    return { idle, guest };
  }

  async function begin(cluster: Cluster, guest: Guest) {
    guest.send('a long answer');
    await until(() => guest.accepted.length === 2);
    const call = await cluster.vendor.nextCall();
    call.text('one ');
    await until(() => answerOf(guest) === 'one ', 'the beginning');
    return call;
  }

  it.each(FREEZES)(
    '[CLU-5] frozen for %s s: sends are refused and not made later, the running turn goes on and catches up, readiness tells',
    async (seconds) => {
      const cluster = await Cluster.start();
      const { guest, idle } = await scene(cluster);
      const call = await begin(cluster, guest);
      cluster.redis.freeze();
      const frozenAt = performance.now();
      const sends = [0, 1, 2].map((number) => ({ messageId: `frozen-${number}`, text: `frozen ${number}` }));
      const { sessionId } = idle.talk;
      const answers = sends.map((send) => idle.client.ask('message:send', { sessionId, ...send }));
      call.text('two ');
      while (performance.now() - frozenAt < seconds * 1_000) {
        call.text('and ');
        await sleep(100);
      }
      if (seconds > 2) expect(await cluster.ready(0)).toBe(false);
      cluster.redis.thaw();
      const refused = (await Promise.all(answers)).map((answer) =>
        answer.ok ? 'accepted' : answer.error.code,
      );
      call.text('done').finish();
      await cluster.untilReady();
      await until(() => guest.view.turns.length === 0 && answerOf(guest).endsWith('done'), 'the catch-up');
      expect(answerOf(guest)).toMatch(/^one two (and )+done$/);
      expect(guest.complaints).toEqual([]);
      // An accepted one runs, in its place; one that was refused never does.
      for (const [index, code] of refused.entries()) {
        if (code !== 'accepted') expect(code).toBe('unavailable');
        else (await cluster.vendor.nextCall()).text(`answer ${index}`).finish();
      }
      const later = await cluster.join(1, idle.talk);
      const last = await later.client.send(sessionId, 'after');
      await until(async () => {
        const next = cluster.vendor.calls.find(({ asked }) => asked === 'after');
        return next !== undefined;
      }, 'the next turn');
      cluster.vendor.calls
        .find(({ asked }) => asked === 'after')
        ?.text('After.')
        .finish();
      await later.client.turn('completed', last.turnId);
      const { messages } = await later.client.do('session:history', { sessionId, limit: 100 });
      const stored = messages.map(({ id }) => id).filter((id) => id.startsWith('frozen'));
      expect(stored).toEqual(
        sends.filter((_, index) => refused[index] === 'accepted').map(({ messageId }) => messageId),
      );
      if (seconds > 2) expect(refused).toEqual(['unavailable', 'unavailable', 'unavailable']);
    },
    PATIENCE_MS,
  );

  it(
    '[CLU-5] readiness is false soon after Redis is gone, and true again by itself',
    async () => {
      const cluster = await Cluster.start();
      for (const how of ['kill', 'freeze'] as const) {
        await cluster.untilReady();
        await cluster.redis[how]();
        const goneAt = performance.now();
        await until(async () => !(await cluster.ready(0)), 'readiness to be false');
        report(
          `not ready ${Math.round(performance.now() - goneAt)} ms after Redis was ${how === 'kill' ? 'killed' : 'frozen'}`,
        );
        if (how === 'kill') await cluster.redis.up();
        else cluster.redis.thaw();
        const backAt = performance.now();
        await cluster.untilReady();
        report(`ready ${Math.round(performance.now() - backAt)} ms after Redis was back`);
      }
    },
    PATIENCE_MS,
  );

  it.each(['with its file', 'without its data', 'with older data'] as const)(
    '[CLU-5 CLU-7] killed and back %s: the running turn goes on with its transcript, and no history goes on under an old epoch',
    async (how) => {
      const cluster = await Cluster.start();
      const early = join(await temporaryDirectory(), 'early');
      const { redis } = cluster;
      const file = join(redis.folder, 'appendonlydir');
      const { guest, idle } = await scene(cluster);
      if (how === 'with older data') {
        // What is copied while Redis runs is a file that was cut off somewhere, as after a power loss.
        const client = redis.client();
        await client.bgrewriteaof();
        await until(async () => /aof_rewrite_in_progress:0/.test(await client.info('persistence')));
        client.disconnect();
        await cp(file, early, { recursive: true });
      }
      const call = await begin(cluster, guest);
      const watcher = new Guest(cluster.node(1).url, guest.credentials, ['websocket']);
      onDispose(() => watcher.close());
      await watcher.settled();
      const before = guest.position;
      const idleBefore = idle.client.position(idle.opened);

      await redis.kill();
      call.text('two ');
      if (how !== 'with its file') await rm(file, { recursive: true });
      if (how === 'with older data') await cp(early, file, { recursive: true });
      await redis.up();
      // Asked on the other node as soon as it answers: what it acknowledges is not lost by what the owner writes anew.
      const asker = await cluster.client(1);
      await until(async () => (await asker.ask('session:open', guest.credentials)).ok, 'the other node');
      const waits = await asker.send(guest.credentials.sessionId, 'waits');
      await until(() => answerOf(guest) === 'one two ', 'the turn to go on');
      await until(() => answerOf(watcher) === 'one two ', 'the other node to hear of it');
      call.text('three').finish();
      const following = await cluster.vendor.nextCall();
      expect(following.asked).toBe('waits');
      assertValidOpenAiMessages(following.messages);
      following.text('Waited.').finish();
      await until(() => guest.view.turns.length === 0 && answerOf(guest) === 'one two three', 'the end');
      await asker.turn('completed', waits.turnId);
      await until(() => answerOf(watcher) === 'one two three' && watcher.view.turns.length === 0, 'the end');
      if (how !== 'with its file') expect(guest.position?.epoch).not.toBe(before?.epoch);
      expect(guest.position?.epoch).toBe(watcher.position?.epoch);
      expect(guest.complaints).toEqual([]);
      expect(watcher.complaints).toEqual([]);
      expect(texts(guest)).toEqual([
        ...['first', 'A first answer.', 'a long answer', 'one two three', 'waits', 'Waited.'],
      ]);
      expect(watcher.view.messages).toEqual(guest.view.messages);

      // The same message again is the same turn.
      const { client } = await cluster.join(1, guest.credentials);
      const known = guest.accepted[1];
      expect(await client.ask('message:send', { sessionId: guest.credentials.sessionId, messageId: known?.messageId ?? '', text: known?.text ?? '' })).toMatchObject({ ok: true, data: { duplicate: true, turnId: known?.turnId } }); // prettier-ignore

      // A session that nobody was running.
      const back = await cluster.client(1);
      if (how === 'without its data') {
        expect(await back.refused('session:open', idle.talk)).toBe('session_not_found');
      }
      const again = await back.open({ ...idle.talk, create: true, position: idleBefore });
      expect(again.created).toBe(how === 'without its data');
      if (how !== 'with its file') expect(again.position.epoch).not.toBe(idleBefore.epoch);
      expect(again.recovered).toBe(again.position.epoch === idleBefore.epoch);
      expect(again.messages.map(({ role }) => role)).toEqual(
        again.created || again.recovered ? [] : ['user', 'assistant'],
      );
      const next = await back.send(idle.talk.sessionId, 'and now?');
      const nextCall = await cluster.vendor.nextCall();
      assertValidOpenAiMessages(nextCall.messages);
      nextCall.text('Now.').finish();
      await back.turn('completed', next.turnId);
      expect(textOf(back.events, next.turnId)).toBe('Now.');
    },
    PATIENCE_MS,
  );

  it('[CLU-9] without REDIS_URL the start ends, and says so', async () => {
    const { code, stderr } = await failingStart({ STORE: 'redis' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/REDIS_URL must be .*, since STORE is redis/);
  });

  it(
    '[CLU-9] a start without Redis is not ready, says why, and serves as soon as it comes',
    async () => {
      const redis = await RedisServer.start();
      onDispose(() => redis.stop());
      await redis.kill();
      const node = await gatewayProcess({ STORE: 'redis', REDIS_URL: redis.url });
      onDispose(() => node.kill('SIGKILL'));
      const ready = async () => (await fetch(`${node.url}/health/ready`)).status;
      expect(await ready()).toBe(503);
      expect(node.output()).toContain('Redis is out of reach');
      await redis.up();
      await until(async () => (await ready()) === 200, 'the node to be ready');
      const guest = new Guest(node.url, { sessionId: 's'.repeat(20), key: 'k'.repeat(40) }, ['websocket']);
      onDispose(() => guest.close());
      await guest.settled();
      guest.send('Hello');
      await until(() => guest.ends.size === 1, 'an answer');
      expect(guest.complaints).toEqual([]);
    },
    PATIENCE_MS,
  );
});

function texts({ view }: Guest): string[] {
  return view.messages.map(({ parts }) =>
    parts.map((part) => (part.type === 'text' ? part.text : '')).join(''),
  );
}

function answerOf(guest: Guest): string {
  return texts(guest)[3] ?? '';
}
