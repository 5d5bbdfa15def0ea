import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '../../src/protocol.js';
import { RequestError } from '../../src/sessions/request.error.js';
import { ALICE, BOB, newSession, SessionDriver, type StoreUnderTest } from './store.driver.js';

const SUBJECT = { kind: 'subject', sub: 'someone' } as const;

/** Sessions as a whole: made, found, switched, listed, closed, expired. */
export function describeSessions(get: () => StoreUnderTest): void {
  describe('sessions', () => {
    it('are made once, found as they were made, and unknown otherwise', async () => {
      const { store, now } = get();
      const id = 'session-of-sixteen';
      expect(await store.open(id)).toBeUndefined();
      expect(await store.read(id)).toBeUndefined();
      expect(await store.messages(id, { limit: 1 })).toBeUndefined();
      const made = await store.open(id, () =>
        newSession({ metadata: { color: 'red', deep: [{ a: null }] } }),
      );
      const createdAt = new Date(now()).toISOString();
      expect(made).toMatchObject({ created: true, session: { sessionId: id, seq: 0, title: '', createdAt } });
      const again = await store.open(id, () => newSession({ agent: BOB }));
      expect(again).toEqual({ ...made, created: false });
      expect(await store.open(id)).toEqual(again);
      expect(again?.session).toMatchObject({ agent: ALICE, metadata: { color: 'red', deep: [{ a: null }] } });
      expect(again?.session.epoch).toMatch(/./);
    });

    it('made at the same time are made once', async () => {
      const { store } = get();
      const opens = await Promise.all([1, 2, 3].map(() => store.open('session-of-many', () => newSession())));
      expect(opens.filter((found) => found?.created)).toHaveLength(1);
      expect(new Set(opens.map((found) => found?.session.epoch)).size).toBe(1);
    });

    it('have epochs of their own', async () => {
      const one = await SessionDriver.create(get());
      const two = await SessionDriver.create(get());
      expect((await one.position()).epoch).not.toBe((await two.position()).epoch);
    });

    it('switch their agent for turns that start later', async () => {
      const talk = await (await SessionDriver.create(get())).attach();
      await talk.send('m1');
      expect(await talk.accept({ kind: 'switch', agent: BOB })).toEqual({ kind: 'done' });
      expect(await talk.accept({ kind: 'switch', agent: BOB })).toEqual({ kind: 'done' });
      expect(talk.packets.at(-1)?.events).toMatchObject([{ type: 'agent', agent: 'bob', previous: 'alice' }]);
      const { turn } = await talk.begin();
      expect(turn.agent).toBe('bob');
      expect((await talk.read()).agent).toEqual(BOB);
    });

    it('end once closed: nothing of them is found, and the id stays refused, also with create', async () => {
      const { store, elapse } = get();
      const talk = await (await SessionDriver.create(get())).attach();
      await talk.turn('m1');
      expect(await talk.accept({ kind: 'close', state: 'closed' })).toEqual({ kind: 'done' });
      expect(talk.packets.at(-1)?.events.at(-1)).toMatchObject({ type: 'session', state: 'closed' });
      const { sessionId } = talk;
      const gone = async (): Promise<void> => {
        expect(await store.open(sessionId)).toBeUndefined();
        expect(await store.open(sessionId, () => newSession())).toBeUndefined();
        expect(await store.read(sessionId)).toBeUndefined();
        expect(await store.messages(sessionId, { limit: 5 })).toBeUndefined();
        expect(await talk.send('m1')).toEqual({ kind: 'gone' });
        expect(await talk.send('m2')).toEqual({ kind: 'gone' });
        expect(await store.append(sessionId, 1, [])).toEqual({ kind: 'deposed' });
      };
      await gone();
      await elapse(LIMITS.tombstoneMs - 1_000);
      await gone();
      await elapse(2_000);
      expect(await store.open(sessionId, () => newSession())).toMatchObject({
        created: true,
        session: { seq: 0 },
      });
      expect(await talk.messages()).toEqual([]);
      expect(await talk.send('m1')).toMatchObject({ kind: 'accepted' });
    });

    it('end with their running turn when they are closed amid it', async () => {
      const { store } = get();
      const talk = await (await SessionDriver.create(get())).attach();
      await talk.send('m1');
      const begun = await talk.begin();
      await talk.send('m2');
      const outcome = await talk.accept({ kind: 'close', state: 'closed' });
      expect(outcome).toEqual({ kind: 'closing', turnId: begun.turn.turnId });
      expect(talk.packets.at(-1)?.events).toMatchObject([
        { type: 'message', message: { role: 'assistant', metadata: { status: 'interrupted' } } },
        { type: 'turn', turnId: 'turn of m2', state: 'interrupted', reason: 'closed' },
      ]);
      expect(await talk.open()).toBeUndefined();
      expect(await talk.send('m3')).toEqual({ kind: 'gone' });
      expect(await talk.accept({ kind: 'close', state: 'closed' })).toEqual({ kind: 'gone' });
      expect(await talk.end(begun, { state: 'interrupted', reason: 'closed' })).toMatchObject({
        kind: 'appended',
      });
      expect(talk.packets.at(-1)?.events.slice(-2)).toMatchObject([
        { type: 'turn', turnId: 'turn of m1', state: 'interrupted', reason: 'closed' },
        { type: 'session', state: 'closed' },
      ]);
      expect(await store.open(talk.sessionId, () => newSession())).toBeUndefined();
      expect((await talk.next(begun.fence)).kind).toBe('deposed');
    });

    it('expire only when they are detached and idle since before the given time', async () => {
      const { elapse, now } = get();
      const talk = await SessionDriver.create(get());
      const expire = (): ReturnType<typeof talk.accept> =>
        talk.accept({ kind: 'close', state: 'expired', unlessActiveSince: now() - 1_000 });
      expect((await expire()).kind).toBe('busy');
      await talk.attach();
      await elapse(5_000);
      expect((await expire()).kind).toBe('busy');
      await talk.detach();
      expect((await expire()).kind).toBe('busy');
      await talk.send('m1');
      await elapse(5_000);
      expect((await expire()).kind).toBe('busy');
      expect((await talk.open())?.idleSince).toBeUndefined();
      const begun = await talk.begin();
      await elapse(5_000);
      expect((await expire()).kind).toBe('busy');
      await talk.end(begun);
      await talk.next(begun.fence);
      expect((await talk.open())?.idleSince).toBe(now());
      expect((await expire()).kind).toBe('busy');
      await elapse(999);
      expect((await expire()).kind).toBe('busy');
      await elapse(2);
      expect(await expire()).toEqual({ kind: 'done' });
      expect(await talk.open(() => newSession())).toBeUndefined();
    });

    it('are idle since the last turn that ended unrun, too', async () => {
      const { elapse, now } = get();
      const talk = await SessionDriver.create(get());
      await talk.send('m1');
      await elapse(5_000);
      await talk.accept({ kind: 'end-waiting', reason: 'detached' });
      expect((await talk.open())?.idleSince).toBe(now());
      const claimed = await talk.claim();
      await talk.send('m2');
      await elapse(5_000);
      await talk.accept({ kind: 'end-waiting', reason: 'detached' });
      expect((await talk.open())?.idleSince).toBe(now());
      await talk.next(claimed);
    });
  });

  describe('lists', () => {
    it("give a subject's sessions, the newest first, page by page, and nobody else's", async () => {
      const { store, elapse } = get();
      const made: string[] = [];
      for (let index = 0; index < 5; index += 1) {
        const talk = await SessionDriver.create(get(), { owner: SUBJECT });
        await talk.send('m1', { text: `title ${index} ${'x'.repeat(LIMITS.titleLength)}` });
        made.unshift(talk.sessionId);
        await elapse(10);
      }
      await SessionDriver.create(get(), { owner: { kind: 'subject', sub: 'someone else' } });
      await SessionDriver.create(get());
      const pages: string[][] = [];
      let cursor: string | undefined;
      do {
        const page = await store.list({ subject: SUBJECT.sub, limit: 2, cursor });
        pages.push(page.sessions.map(({ sessionId }) => sessionId));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(pages).toEqual([made.slice(0, 2), made.slice(2, 4), made.slice(4)]);
      const [first] = (await store.list({ subject: SUBJECT.sub, limit: 1 })).sessions;
      expect(first).toMatchObject({ agent: 'alice', attached: false, busy: true });
      expect(first?.title).toBe(`title 4 ${'x'.repeat(LIMITS.titleLength)}`.slice(0, LIMITS.titleLength));
      expect((await store.list({ subject: 'nobody', limit: 5 })).sessions).toEqual([]);
    });

    it('go from sessions of one moment to the next without leaving one out', async () => {
      const { store } = get();
      const made = await Promise.all(Array.from({ length: 7 }, () => SessionDriver.create(get())));
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await store.list({ limit: 3, cursor });
        seen.push(...page.sessions.map(({ sessionId }) => sessionId));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(seen.sort()).toEqual(made.map(({ sessionId }) => sessionId).sort());
    });

    it('refuse a cursor that no list gave', async () => {
      const listed = get().store.list({ limit: 1, cursor: 'made up' });
      await expect(listed).rejects.toThrow(RequestError);
    });

    it('tell attached, detached and orphaned sessions apart', async () => {
      const { store } = get();
      const ids = async (state?: 'attached' | 'detached' | 'orphaned'): Promise<string[]> =>
        (await store.list({ state, limit: 10 })).sessions.map(({ sessionId }) => sessionId).sort();
      const [detached, attached, busy, orphaned] = await Promise.all(
        [1, 2, 3, 4].map(() => SessionDriver.create(get())),
      );
      if (!detached || !attached || !busy || !orphaned) throw new Error('made too few');
      await attached.attach();
      await busy.attach();
      await busy.send('m1');
      await orphaned.send('m1');
      expect(await ids('attached')).toEqual([attached.sessionId, busy.sessionId].sort());
      expect(await ids('detached')).toEqual([detached.sessionId]);
      expect(await ids('orphaned')).toEqual([orphaned.sessionId]);
      expect(await store.census()).toEqual({ attached: 2, detached: 1, orphaned: 1 });
      await busy.detach();
      expect(await ids('orphaned')).toEqual([busy.sessionId, orphaned.sessionId].sort());
      const begun = await orphaned.begin();
      const { sessions } = await store.list({ state: 'orphaned', limit: 10 });
      expect(sessions.find(({ sessionId }) => sessionId === orphaned.sessionId)).toMatchObject({
        turn: begun.turn.turnId,
        busy: true,
        attached: false,
      });
      await orphaned.end(begun);
      await orphaned.next(begun.fence);
      expect(await ids('detached')).toEqual([detached.sessionId, orphaned.sessionId].sort());
      expect(await store.census()).toEqual({ attached: 1, detached: 2, orphaned: 1 });
      await attached.accept({ kind: 'close', state: 'closed' });
      expect(await ids('attached')).toEqual([]);
      expect(await ids()).toHaveLength(3);
      expect(await store.census()).toEqual({ attached: 0, detached: 2, orphaned: 1 });
      await store.ping();
    });

    it('find sessions that were idle for long, empty ones sooner', async () => {
      const { store, elapse, now } = get();
      const empty = await SessionDriver.create(get());
      const used = await SessionDriver.create(get());
      await used.turn('m1');
      const attached = await (await SessionDriver.create(get())).attach();
      const busy = await SessionDriver.create(get());
      await busy.send('m1');
      await elapse(1_000);
      const find = async (withMessages: number, none: number, limit = 10): Promise<string[]> => {
        const idleBefore = { withMessages: now() - withMessages, empty: now() - none };
        return (await store.list({ idleBefore, limit })).sessions.map(({ sessionId }) => sessionId).sort();
      };
      expect(await find(2_000, 500)).toEqual([empty.sessionId]);
      expect(await find(500, 500)).toEqual([empty.sessionId, used.sessionId].sort());
      expect(await find(500, 500, 1)).toHaveLength(1);
      expect(await find(1_000, 1_000)).toEqual([]);
      await attached.detach();
      await elapse(1_000);
      expect(await find(5_000, 500)).toEqual([attached.sessionId, empty.sessionId].sort());
    });
  });
}
