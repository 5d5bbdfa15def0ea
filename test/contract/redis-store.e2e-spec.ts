import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { redisMissing, RedisServer } from '../support/redis.server.js';
import { redisStore } from './redis.store.js';
import { describeSessionStore } from './session-store.contract.js';

const missing = redisMissing();

if (missing) {
  describe('the session store on Redis', () => {
    it.skip(missing, () => undefined);
  });
} else {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  describeSessionStore('redis', async () => {
    await server.flush();
    return redisStore(server.url);
  });
}
