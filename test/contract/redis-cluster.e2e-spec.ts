import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RedisKeys } from '../../src/sessions/redis/redis.keys.js';
import { StoreUnavailable } from '../../src/sessions/session.store.js';
import { redisMissing } from '../support/redis.server.js';
import { RedisCluster } from '../support/redis.topologies.js';
import { redisStore } from './redis.store.js';
import { describeSessionStore } from './session-store.contract.js';
import { SessionDriver } from './store.driver.js';

const missing = redisMissing();

if (missing) {
  describe('the session store on a Redis Cluster', () => {
    it.skip(missing, () => undefined);
  });
} else {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await RedisCluster.start();
  }, 60_000);
  afterAll(() => cluster.stop());

  describeSessionStore('a Redis Cluster of three masters', async () => {
    await cluster.flush();
    return redisStore(cluster.url);
  });

  it('[STO-1] spreads sessions over the masters of a cluster', async () => {
    await cluster.flush();
    const under = await redisStore(cluster.url);
    try {
      for (let index = 0; index < 60; index += 1) await (await SessionDriver.create(under)).turn('m1');
      const sizes = await cluster.sizes();
      expect(Math.min(...sizes)).toBeGreaterThan(Math.max(...sizes) / 4);
    } finally {
      await under.close();
    }
  });

  it('[CLU-7] a master of a cluster that is replaced begins new epochs for what it held, and for nothing else', async () => {
    const replicated = await RedisCluster.start({ replicas: true });
    const under = await redisStore(replicated.url);
    try {
      const talks = await Promise.all(Array.from({ length: 12 }, () => SessionDriver.create(under)));
      for (const talk of talks) await talk.turn('m1');
      const before = await Promise.all(talks.map((talk) => talk.position()));
      const keys = new RedisKeys(true);
      const partition = keys.session(talks[0]?.sessionId ?? '').partition;
      await replicated.failOver(keys.partition(partition).generation);
      const after = await Promise.all(
        talks.map(async (talk) => {
          for (;;) {
            try {
              return await talk.position();
            } catch (error) {
              if (!(error instanceof StoreUnavailable)) throw error;
              await new Promise((resolve) => setTimeout(resolve, 50));
            }
          }
        }),
      );
      const kept = after.filter(({ epoch }, index) => epoch === before[index]?.epoch);
      expect(after[0]?.epoch).not.toBe(before[0]?.epoch);
      expect(kept.length).toBeGreaterThan(0);
      for (const talk of talks) await talk.turn('m2');
      expect(await talks[0]?.messageIds()).toHaveLength(4);
    } finally {
      await under.close();
      await replicated.stop();
    }
  }, 60_000);
}
