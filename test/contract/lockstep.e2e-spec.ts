import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { memoryStore, NO_CHECKPOINTS, sqliteStore } from './embedded.stores.js';
import { operations } from './operations.js';
import { redisMissing, RedisServer } from '../support/redis.server.js';
import { Performer } from './performer.js';
import { redisStore } from './redis.store.js';
import type { StoreUnderTest } from './store.driver.js';

const SESSIONS = ['session-number-one', 'session-number-two'];

/** Redis lets go of an ended turn's events exactly a resume window later, memory of some when it next can: none here. */
const HOURS_MS = 100 * 3_600_000;

/** Whatever is done to two engines: they answer alike. */
async function expectLockstep(
  numRuns: number,
  makeFirst: () => Promise<StoreUnderTest>,
  makeOther: () => Promise<StoreUnderTest>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(operations(SESSIONS.length), async (list) => {
      const memory = new Performer(await makeFirst(), SESSIONS);
      const other = new Performer(await makeOther(), SESSIONS);
      try {
        await memory.start();
        await other.start();
        for (const operation of list) {
          const expected = await memory.perform(operation);
          expect({ operation, answer: await other.perform(operation) }).toEqual({
            operation,
            answer: expected,
          });
        }
        for (const session of SESSIONS.keys()) {
          const expected = memory.nameless(await memory.read(session));
          expect(other.nameless(await other.read(session))).toEqual(expected);
        }
      } finally {
        await memory.under.close();
        await other.under.close();
      }
    }),
    { numRuns, endOnFailure: true },
  );
}

describe('engines in lockstep', () => {
  it('[STO-1] memory and SQLite answer alike, whatever is done to them', () =>
    expectLockstep(
      100,
      () => memoryStore(),
      () => sqliteStore({ checkpoints: NO_CHECKPOINTS }),
    ));

  const missing = redisMissing();
  if (missing) {
    it.skip(missing, () => undefined);
  } else {
    let server: RedisServer;
    beforeAll(async () => {
      server = await RedisServer.start();
    });
    afterAll(() => server.stop());

    it('[STO-1] memory and Redis answer alike, whatever is done to them', () =>
      expectLockstep(
        40,
        () => memoryStore(HOURS_MS),
        async () => {
          await server.flush();
          return redisStore(server.url, HOURS_MS);
        },
      ));
  }
});
