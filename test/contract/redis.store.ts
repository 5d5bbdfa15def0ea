import { Config, loadConfig } from '../../src/config.js';
import { RedisAppends } from '../../src/sessions/redis/redis.appends.js';
import { RedisFeed } from '../../src/sessions/redis/redis.feed.js';
import { RedisTurnLease } from '../../src/sessions/redis/redis.lease.js';
import { RedisLeases } from '../../src/sessions/redis/redis.leases.js';
import { RedisLink } from '../../src/sessions/redis/redis.link.js';
import { RedisList } from '../../src/sessions/redis/redis.list.js';
import { RedisNodes } from '../../src/sessions/redis/redis.nodes.js';
import { RedisReader } from '../../src/sessions/redis/redis.reader.js';
import { RedisSessions } from '../../src/sessions/redis/redis.sessions.js';
import { RedisStore } from '../../src/sessions/redis/redis.store.js';
import { FakeClock, RESUME_WINDOW_MS } from './embedded.stores.js';
import type { StoreUnderTest } from './store.driver.js';

/** A node's store on the Redis of that URL, as the module composes it. */
export async function redisStore(url: string, resumeWindowMs = RESUME_WINDOW_MS): Promise<StoreUnderTest> {
  const clock = new FakeClock();
  const link = new RedisLink(url, { acceptorMs: 0, steadyMs: 0, settleMs: 0 });
  const sessions = new RedisSessions(link, clock, { resumeWindowMs });
  const leases = new RedisLeases(sessions);
  const nodes = new RedisNodes(link, leases);
  const config = new Config({ ...loadConfig({}), resumeWindowMs });
  const store = new RedisStore(
    sessions,
    new RedisAppends(sessions, leases),
    leases,
    new RedisReader(sessions, leases, config),
    new RedisList(link),
  );
  const lease = new RedisTurnLease(sessions, leases, nodes);
  const feed = new RedisFeed(sessions, nodes);
  if (!(await link.reached(5_000))) throw new Error('redis was not reached');
  await nodes.beat();
  nodes.start();
  return {
    store,
    lease,
    feed,
    resumeWindowMs,
    now: () => clock.now(),
    elapse: (ms) => {
      clock.advance(ms);
      return Promise.resolve();
    },
    close: () => nodes.close(),
  };
}
