import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { LogEntry } from '../../src/protocol.js';
import type { RedisSessions } from '../../src/sessions/redis/redis.sessions.js';
import { StoreUnavailable, type Reading } from '../../src/sessions/session.store.js';
import { until } from '../support/channel.js';
import { disposeAll, onDispose } from '../support/gateway.js';
import { redisMissing, RedisServer } from '../support/redis.server.js';
import { redisStore } from './redis.store.js';
import { SessionDriver } from './store.driver.js';

const AGENT = { id: 'alice', hash: 'abc', name: 'Alice', description: '', tools: [], persona: 'Be.' };
const missing = redisMissing();

(missing ? describe.skip : describe)('fences on Redis', () => {
  afterEach(disposeAll);

  it('[STO-6 CLU-4] are given once, also by a Redis that has forgotten the last ones', async () => {
    const server = await RedisServer.start();
    onDispose(() => server.stop());
    const [first, second] = [await redisStore(server.url), await redisStore(server.url)];
    for (const { close } of [first, second]) onDispose(close);
    const sessionId = randomBytes(16).toString('hex');
    await first.store.open(sessionId, () => ({ owner: { kind: 'key', keyHash: 'abc' }, agent: AGENT }));
    const send = { kind: 'send', text: 'Hi', digest: 'd', whenBusy: 'enqueue', admit: true } as const;
    await first.store.accept(sessionId, { ...send, messageId: 'm1', turnId: 't1' });

    const client = server.client();
    onDispose(async () => client.disconnect());
    const record = `mooring:{0}:session:${sessionId}`;
    const earlier = await client.hgetall(record);
    const fence = await first.lease.claim(sessionId);
    await client.del(record);
    await client.hset(record, earlier);
    const later = await second.lease.claim(sessionId);

    expect(later).toBeGreaterThan(fence ?? Infinity);
    await second.lease.next(sessionId, later ?? 0);
    const word: LogEntry = { type: 'chunk', turnId: 't1', chunk: { type: 'text-start', id: 'text' } };
    expect(await first.store.append(sessionId, fence ?? 0, [word])).toEqual({ kind: 'deposed' });
    expect(await second.store.append(sessionId, later ?? 0, [word])).toMatchObject({ kind: 'appended' });
  });

  describe('what an owner writes anew', () => {
    const word = (delta: string): LogEntry => ({
      type: 'chunk',
      turnId: 't1',
      chunk: { type: 'text-delta', id: 'text', delta },
    });

    /** A turn that is claimed, and a Redis that can be set back. */
    async function scene() {
      const server = await RedisServer.start();
      onDispose(() => server.stop());
      const [owner, other] = [await redisStore(server.url), await redisStore(server.url)];
      for (const { close } of [owner, other]) onDispose(close);
      const sessionId = randomBytes(16).toString('hex');
      await owner.store.open(sessionId, () => ({ owner: { kind: 'key', keyHash: 'abc' }, agent: AGENT }));
      const send = (number: number) =>
        other.store.accept(sessionId, {
          ...{ kind: 'send', text: 'Hi', digest: 'd', whenBusy: 'enqueue', admit: true },
          messageId: `m${number}`,
          turnId: `t${number}`,
        });
      await send(1);
      const fence = (await owner.lease.claim(sessionId)) ?? 0;
      const client = server.client();
      onDispose(async () => client.disconnect());
      const dumped = async () => {
        const keys = await client.keys(`mooring:{0}:*`);
        return Promise.all(keys.map(async (key) => [key, await client.dumpBuffer(key)] as const));
      };
      const setBack = async (data: Awaited<ReturnType<typeof dumped>>): Promise<void> => {
        await client.del(await client.keys(`mooring:{0}:*`));
        for (const [key, value] of data) if (value) await client.restore(key, 0, value);
      };
      const waiting = async () =>
        (await other.store.open(sessionId))?.session.waiting.map(({ turnId }) => turnId);
      return { owner, sessionId, send, fence, dumped, setBack, waiting };
    }

    it('[CLU-7] has what others queued amid the turn, where Redis still has it', async () => {
      const { owner, sessionId, send, fence, dumped, setBack, waiting } = await scene();
      await owner.lease.next(sessionId, fence);
      await owner.store.append(sessionId, fence, [word('one ')]);
      await send(2);
      const early = await dumped();
      await owner.store.append(sessionId, fence, [word('two ')]);
      await setBack(early);
      expect(await owner.store.append(sessionId, fence, [word('three')])).toMatchObject({ kind: 'appended' });
      expect(await waiting()).toEqual(['t2']);
      expect(await send(2)).toMatchObject({ kind: 'duplicate', turnId: 't2' });
      const reading = await owner.store.read(sessionId);
      expect(JSON.stringify(reading?.events)).toMatch(/one .*two .*three/);
    });

    it('[CLU-7] has what others queued since Redis came back with data from before the turn', async () => {
      const { owner, sessionId, send, fence, dumped, setBack, waiting } = await scene();
      const early = await dumped();
      await owner.lease.next(sessionId, fence);
      await owner.store.append(sessionId, fence, [word('one ')]);
      await setBack(early);
      await send(2);
      expect(await owner.store.append(sessionId, fence, [word('two')])).toMatchObject({ kind: 'appended' });
      expect(await waiting()).toEqual(['t2']);
      const reading = await owner.store.read(sessionId);
      expect(reading?.turns).toMatchObject([
        { turnId: 't1', state: 'running' },
        { turnId: 't2', state: 'queued' },
      ]);
    });

    it('[MSG-2] knows messages that waited by their ids, where Redis lost everything', async () => {
      const { owner, sessionId, send, fence, setBack, waiting } = await scene();
      await send(2);
      await owner.lease.next(sessionId, fence);
      await setBack([]);
      expect(await owner.store.append(sessionId, fence, [word('one')])).toMatchObject({ kind: 'appended' });
      expect(await waiting()).toEqual(['t2']);
      expect(await send(2)).toMatchObject({ kind: 'duplicate', turnId: 't2' });
    });
  });

  it('[CLU-5] a begin of which nobody was told is the same turn when it is asked for again', async () => {
    const server = await RedisServer.start();
    onDispose(() => server.stop());
    const { store, lease, close } = await redisStore(server.url);
    onDispose(close);
    const sessionId = randomBytes(16).toString('hex');
    await store.open(sessionId, () => ({ owner: { kind: 'key', keyHash: 'abc' }, agent: AGENT }));
    const send = { kind: 'send', text: 'Hi', digest: 'd', whenBusy: 'enqueue', admit: true } as const;
    await store.accept(sessionId, { ...send, messageId: 'm1', turnId: 't1' });
    const fence = (await lease.claim(sessionId)) ?? 0;
    // Redis goes away between the begin and what is read after it.
    const { sessions } = lease as unknown as {
      sessions: { load: (...words: unknown[]) => Promise<unknown> };
    };
    const load = sessions.load.bind(sessions);
    let loads = 0;
    sessions.load = (...words) => {
      loads += 1;
      return loads === 2 ? Promise.reject(new StoreUnavailable('away')) : load(...words);
    };
    await expect(lease.next(sessionId, fence)).rejects.toThrow('away');
    expect(await lease.next(sessionId, fence)).toMatchObject({ kind: 'turn', turn: { turnId: 't1' } });
    // Whoever was told has run it: asked again, it is over.
    expect(await lease.next(sessionId, fence)).toMatchObject({ kind: 'abandoned' });
  });

  it('[CLU-1] [CLU-6] what could not be told, or was not answered, is settled when Redis answers again', async () => {
    const server = await RedisServer.start();
    onDispose(() => server.stop());
    const [one, other] = [await redisStore(server.url), await redisStore(server.url)];
    for (const { close } of [one, other]) onDispose(close);
    const [left, held] = [randomBytes(16).toString('hex'), randomBytes(16).toString('hex')];
    for (const sessionId of [left, held]) {
      await one.store.open(sessionId, () => ({ owner: { kind: 'key', keyHash: 'abc' }, agent: AGENT }));
      await one.feed.subscribe(sessionId);
    }
    const gaps: string[] = [];
    one.feed.onGap((sessionId) => gaps.push(sessionId));
    const { link } = (one.store as unknown as { sessions: RedisSessions }).sessions;
    const onSession = link.onSession.bind(link);
    link.onSession = async (name, ...words) => {
      // A change is made, and not answered; a detach is not even made.
      if (name === 'commit') await onSession(name, ...words);
      if (name === 'commit' || name === 'detach') throw new StoreUnavailable('timed out');
      return onSession(name, ...words);
    };
    const send = { kind: 'send', text: 'Hi', digest: 'd', whenBusy: 'enqueue', admit: true } as const;
    const accepted = one.store.accept(held, { ...send, messageId: 'm1', turnId: 't1' });
    await expect(accepted).rejects.toThrow(StoreUnavailable);
    await one.feed.unsubscribe(left);
    expect(await other.feed.detachedSince(left)).toBeUndefined();
    link.onSession = onSession;
    await until(async () => (await other.feed.detachedSince(left)) !== undefined, 'the detach');
    await until(() => gaps.includes(held), 'the session to be read again');
    expect(await other.feed.detachedSince(held)).toBeUndefined();
  });

  it('[CLU-7] a Redis that was a replica and is the master once more, the same process, continues no history', async () => {
    const [server, stand] = [await RedisServer.start(), await RedisServer.start()];
    onDispose(() => server.stop());
    onDispose(() => stand.stop());
    const { store, close } = await redisStore(server.url);
    onDispose(close);
    const sessionId = randomBytes(16).toString('hex');
    await store.open(sessionId, () => ({ owner: { kind: 'key', keyHash: 'abc' }, agent: AGENT }));
    const position = (await store.read(sessionId))?.position;
    expect((await store.read(sessionId, position))?.recovered).toBe(true);
    const [first, second] = [server.client(), stand.client()];
    for (const client of [first, second]) onDispose(async () => client.disconnect());
    const follow = async (one: typeof first, port: number): Promise<void> => {
      await one.replicaof('127.0.0.1', port);
      await until(
        async () => (await one.info('replication')).includes('master_link_status:up'),
        'replication',
      );
    };
    await follow(second, server.port);
    await second.replicaof('NO', 'ONE');
    await follow(first, stand.port);
    await first.replicaof('NO', 'ONE');
    // As whoever hands over does with the clients of before.
    await first.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    let back: Reading | undefined;
    await until(async () => {
      back = await store.read(sessionId, position).catch(() => undefined);
      return back !== undefined;
    }, 'the connection');
    expect(back?.recovered).toBe(false);
    expect(back?.position.epoch).not.toBe(position?.epoch);
  });

  it('[CLU-3] a session whose owner died after its last turn had ended is free for the next message', async () => {
    const server = await RedisServer.start();
    onDispose(() => server.stop());
    const under = await redisStore(server.url);
    onDispose(under.close);
    const talk = await SessionDriver.create(under);
    await talk.send('m1');
    await talk.end(await talk.begin());
    // It is not asked for the next turn any more, and its lease runs out.
    const client = server.client();
    onDispose(async () => client.disconnect());
    await client.zadd('mooring:{0}:due', 0, talk.sessionId);
    expect(await under.lease.due()).toEqual([]);
    await talk.send('m2');
    await until(async () => (await under.lease.due()).includes(talk.sessionId), 'it to be due');
    // Also for a node that is not steady, and takes no other's place.
    Object.defineProperty((under.lease as unknown as { nodes: object }).nodes, 'steady', { value: false });
    expect(await under.lease.claim(talk.sessionId)).toBeGreaterThan(0);
  });

  it('[CLU-7] a Redis that is full when it comes back lets sessions be read, and end', async () => {
    const server = await RedisServer.start();
    onDispose(() => server.stop());
    const { store, close } = await redisStore(server.url);
    onDispose(close);
    const sessionId = randomBytes(16).toString('hex');
    await store.open(sessionId, () => ({ owner: { kind: 'key', keyHash: 'abc' }, agent: AGENT }));
    await server.kill();
    await server.up();
    const client = server.client();
    onDispose(async () => client.disconnect());
    await client.config('SET', 'maxmemory', '1');
    let found = false;
    await until(async () => {
      found = (await store.open(sessionId).catch(() => undefined)) !== undefined;
      return found;
    }, 'the session to be read');
    expect(await store.accept(sessionId, { kind: 'close', state: 'closed' })).toEqual({ kind: 'done' });
    expect(await client.exists(`mooring:{0}:session:${sessionId}`)).toBe(0);
  });
});
