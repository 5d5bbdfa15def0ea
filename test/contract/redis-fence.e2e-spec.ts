import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { LogEntry } from '../../src/protocol.js';
import { disposeAll, onDispose } from '../support/gateway.js';
import { redisMissing, RedisServer } from '../support/redis.server.js';
import { redisStore } from './redis.store.js';

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
});
