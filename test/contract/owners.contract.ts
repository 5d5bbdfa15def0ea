import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import type { Owner } from '../../src/sessions/session.js';
import { newSession, SessionDriver, type StoreUnderTest } from './store.driver.js';

const DAY_MS = 24 * 3_600_000;

function subject(): Owner {
  return { kind: 'subject', sub: `owner ${randomUUID()}` };
}

/** What one owner may have, and may use. */
export function describeOwners(get: () => StoreUnderTest): void {
  describe('owners', () => {
    it('[LIM-11] have as many sessions as they may, also where they are made at once', async () => {
      const { store } = get();
      const owner = subject();
      const make = (): Promise<unknown> =>
        store.open(randomUUID(), () => newSession({ owner, ownersLimit: 3 }));
      const made = await Promise.allSettled([1, 2, 3, 4, 5].map(make));
      expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
      const refused = made.find(({ status }) => status === 'rejected');
      expect(refused).toMatchObject({ reason: { code: 'too_many_sessions' } });
      await expect(make()).rejects.toMatchObject({ code: 'too_many_sessions' });
      const other = await store.open(randomUUID(), () => newSession({ owner: subject(), ownersLimit: 1 }));
      expect(other?.created).toBe(true);
    });

    it('[LIM-11] have room again for a session that was closed', async () => {
      const under = get();
      const owner = subject();
      const talk = await SessionDriver.create(under, { owner, ownersLimit: 1 });
      const make = (): Promise<unknown> =>
        under.store.open(randomUUID(), () => newSession({ owner, ownersLimit: 1 }));
      await expect(make()).rejects.toMatchObject({ code: 'too_many_sessions' });
      expect(await talk.open(() => newSession({ owner, ownersLimit: 1 }))).toMatchObject({ created: false });
      await talk.accept({ kind: 'close', state: 'closed' });
      expect(await make()).toMatchObject({ created: true });
    });

    it('[LIM-13] start no turn once they have used the tokens of a day, until the next one', async () => {
      const under = get();
      const owner = subject();
      const talk = await SessionDriver.create(under, { owner });
      const other = await SessionDriver.create(under, { owner });
      const foreign = await SessionDriver.create(under, { owner: subject() });
      const limit = { tokensPerDay: 100 };
      const use = async (driver: SessionDriver, id: string, tokens: number): Promise<void> => {
        expect(await driver.send(id, limit)).toMatchObject({ kind: 'accepted' });
        const begun = await driver.begin();
        const usage = { inputTokens: tokens - 10, outputTokens: 10, estimated: false };
        await driver.end(begun, { state: 'completed', finishReason: 'stop' }, usage);
        await driver.next(begun.fence);
      };
      await use(talk, 'm1', 40);
      await use(other, 'm1', 59);
      await use(talk, 'm2', 30);
      const left = DAY_MS - (under.now() % DAY_MS);
      const spent = { kind: 'spent', retryAfterMs: left };
      expect(await talk.send('m3', limit)).toEqual(spent);
      expect(await other.send('m2', limit)).toEqual(spent);
      expect(await other.retry('r1', limit)).toEqual(spent);
      expect(await talk.send('m2', limit)).toMatchObject({ kind: 'duplicate' });
      expect(await talk.send('m3')).toMatchObject({ kind: 'accepted' });
      await use(foreign, 'm1', 90);
      await under.elapse(left);
      expect(await other.send('m2', limit)).toMatchObject({ kind: 'accepted' });
    });

    it('[LIM-13] without a name have no account', async () => {
      const talk = await SessionDriver.create(get());
      await talk.send('m1', { tokensPerDay: 1 });
      const usage = { inputTokens: 10, outputTokens: 10, estimated: true };
      const begun = await talk.begin();
      await talk.end(begun, { state: 'cancelled' }, usage);
      expect(await talk.send('m2', { tokensPerDay: 1 })).toMatchObject({ kind: 'accepted' });
    });
  });
}
