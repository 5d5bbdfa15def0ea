import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
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
}
