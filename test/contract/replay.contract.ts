import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '../../src/protocol.js';
import { SessionDriver, type StoreUnderTest } from './store.driver.js';

/** What a client that comes back is given, the transcript, and its pages. */
export function describeReplay(get: () => StoreUnderTest): void {
  describe('replays', () => {
    it('[RES-2] give exactly the events after a position, amid a turn and after it, deltas merged', async () => {
      const talk = await SessionDriver.create(get());
      const empty = await talk.position();
      await talk.send('m1');
      const begun = await talk.begin();
      await talk.say(begun, 'a', 'b');
      const amid = await talk.position();
      expect(await talk.read(amid)).toMatchObject({
        recovered: true,
        events: [],
        messages: [],
        position: amid,
      });
      await talk.say(begun, 'c');
      await talk.say(begun, 'd', 'e');
      const { position, recovered, events, turns } = await talk.read(amid);
      expect({ recovered, turns }).toEqual({
        recovered: true,
        turns: [{ turnId: 'turn of m1', messageId: 'm1', state: 'running' }],
      });
      expect(events).toEqual([
        {
          type: 'chunk',
          turnId: 'turn of m1',
          chunk: { type: 'text-delta', id: 'text', delta: 'cde' },
          seq: position.seq,
        },
      ]);
      await talk.end(begun);
      await talk.next(begun.fence);
      const all = await talk.read(empty);
      expect(all.events.map(({ type }) => type)).toEqual([
        'message',
        'turn',
        'turn',
        'chunk',
        'chunk',
        'chunk',
        'chunk',
        'turn',
      ]);
      expect(all.events.at(-1)?.seq).toBe(all.position.seq);
    });

    it('[RES-3] of another epoch, or ahead of the log, are snapshots', async () => {
      const talk = await SessionDriver.create(get());
      await talk.turn('m1');
      const { epoch, seq } = await talk.position();
      const snapshot = await talk.read();
      expect(snapshot).toMatchObject({ recovered: false, hasMore: false, events: [] });
      expect(await talk.read({ epoch: 'another', seq })).toEqual(snapshot);
      expect(await talk.read({ epoch, seq: seq + 1 })).toEqual(snapshot);
      expect(await talk.read({ epoch, seq })).toMatchObject({ recovered: true, events: [] });
      expect(await talk.read({ epoch, seq: 0 })).toMatchObject({ recovered: true });
    });

    it('[RES-6] reach back to the resume window before the end of a turn, and not behind it', async () => {
      const { elapse, resumeWindowMs } = get();
      const talk = await SessionDriver.create(get());
      const empty = await talk.position();
      await talk.turn('m1');
      const first = await talk.position();
      await elapse(resumeWindowMs / 2);
      await talk.turn('m2');
      await elapse(resumeWindowMs / 2);
      expect(await talk.read(empty)).toMatchObject({ recovered: true });
      await elapse(2);
      expect(await talk.read(empty)).toMatchObject({ recovered: false, events: [] });
      expect(await talk.read(first)).toMatchObject({ recovered: true });
      await elapse(resumeWindowMs);
      expect(await talk.read(first)).toMatchObject({ recovered: false });
      const last = await talk.position();
      expect(await talk.read(last)).toMatchObject({ recovered: true, events: [] });
      await talk.turn('m3');
      expect((await talk.read(last)).events).not.toEqual([]);
      expect(await talk.messageIds()).toHaveLength(6);
    });

    it('hold a running turn from its beginning, however long it runs', async () => {
      const { elapse, resumeWindowMs } = get();
      const talk = await SessionDriver.create(get());
      await talk.send('m1');
      const begun = await talk.begin();
      const early = await talk.position();
      await talk.say(begun, 'a');
      await elapse(resumeWindowMs * 3);
      await talk.say(begun, 'b');
      expect((await talk.read(early)).events).toMatchObject([{ chunk: { delta: 'ab' } }]);
      expect((await talk.read()).events).toMatchObject([
        { type: 'turn', state: 'running' },
        { chunk: { type: 'start' } },
        { chunk: { type: 'text-start' } },
        { chunk: { delta: 'ab' } },
      ]);
    });
  });

  describe('snapshots', () => {
    it('[RES-4] hold waiting messages last and not the running answer; events tell of both', async () => {
      const talk = await SessionDriver.create(get());
      await talk.turn('m1');
      await talk.send('m2');
      const begun = await talk.begin();
      await talk.say(begun, 'a', 'b');
      await talk.send('m3');
      await talk.send('m4');
      await talk.say(begun, 'c');
      const snapshot = await talk.read();
      expect(snapshot.recovered).toBe(false);
      expect(snapshot.messages.map(({ id }) => id)).toEqual(['m1', 'answer of turn of m1', 'm2', 'm3', 'm4']);
      expect(snapshot.turns.map(({ messageId, state }) => [messageId, state])).toEqual([
        ['m2', 'running'],
        ['m3', 'queued'],
        ['m4', 'queued'],
      ]);
      expect(snapshot.events).toMatchObject([
        { type: 'turn', messageId: 'm3', state: 'queued' },
        { type: 'turn', messageId: 'm4', state: 'queued' },
        { type: 'turn', messageId: 'm2', state: 'running', agent: 'alice' },
        { type: 'chunk', chunk: { type: 'start' } },
        { type: 'chunk', chunk: { type: 'text-start' } },
        { type: 'chunk', chunk: { delta: 'abc' } },
      ]);
    });

    it(`[RES-4] hold the last ${LIMITS.snapshotMessages} messages`, async () => {
      const talk = await SessionDriver.create(get());
      const turns = LIMITS.snapshotMessages / 2;
      for (let index = 0; index < turns; index += 1) await talk.turn(`m${index}`);
      expect(await talk.read()).toMatchObject({ hasMore: false });
      await talk.turn('last');
      const { messages, hasMore } = await talk.read();
      expect(messages).toHaveLength(LIMITS.snapshotMessages);
      expect(messages.at(-1)?.id).toBe('answer of turn of last');
      expect(messages[0]?.id).toBe('m1');
      expect(hasMore).toBe(true);
    });

    it('[RES-4] hold no more than their bytes of messages, but one at least', async () => {
      const talk = await SessionDriver.create(get());
      const half = LIMITS.snapshotBytes / 2;
      await talk.turn('m1', 'x'.repeat(half));
      await talk.turn('m2', 'x'.repeat(half));
      const two = await talk.read();
      expect(two.messages.map(({ id }) => id)).toEqual(['m2', 'answer of turn of m2']);
      expect(two.hasMore).toBe(true);
      expect(Buffer.byteLength(JSON.stringify(two.messages))).toBeLessThanOrEqual(LIMITS.snapshotBytes + 10);
      // Bytes, not characters.
      await talk.turn('m3', '€'.repeat(LIMITS.snapshotBytes / 3));
      const one = await talk.read();
      expect(one.messages.map(({ id }) => id)).toEqual(['answer of turn of m3']);
      expect(one.hasMore).toBe(true);
    });
  });

  describe('pages of messages', () => {
    it('go back from the newest, waiting ones included, to the first', async () => {
      const talk = await SessionDriver.create(get());
      for (const id of ['m1', 'm2', 'm3']) await talk.turn(id);
      await talk.send('m4');
      await talk.send('m5');
      const all = await talk.messageIds();
      expect(all).toHaveLength(8);
      const pages: string[][] = [];
      let before: string | undefined;
      for (;;) {
        const page = await get().store.messages(talk.sessionId, { before, limit: 3 });
        if (!page) throw new Error('no page');
        pages.unshift(page.messages.map(({ id }) => id));
        before = page.messages[0]?.id;
        if (!page.hasMore) break;
      }
      expect(pages.map(({ length }) => length)).toEqual([2, 3, 3]);
      expect(pages.flat()).toEqual(all);
      expect(await get().store.messages(talk.sessionId, { before: 'm1', limit: 3 })).toEqual({
        messages: [],
        hasMore: false,
      });
      expect(await get().store.messages(talk.sessionId, { before: 'nothing', limit: 3 })).toBeUndefined();
    });

    it('may leave the waiting ones out, and end where their bytes are full', async () => {
      const talk = await SessionDriver.create(get());
      await talk.turn('m1');
      await talk.turn('m2');
      await talk.send('m3');
      expect(await talk.messageIds({ begun: true, limit: 2 })).toEqual(['m2', 'answer of turn of m2']);
      expect(await talk.messageIds({ maxBytes: 1 })).toEqual(['m3']);
      const sizes = (await talk.messages()).map((message) => Buffer.byteLength(JSON.stringify(message)));
      const lastTwo = sizes.slice(-2).reduce((sum, bytes) => sum + bytes);
      expect(await talk.messageIds({ maxBytes: lastTwo })).toHaveLength(2);
      expect(await talk.messageIds({ maxBytes: lastTwo - 1 })).toHaveLength(1);
      const begun = await talk.begin();
      expect(await talk.messageIds({ begun: true, limit: 1 })).toEqual([begun.turn.messageId]);
    });

    it('hold what was sent, to the letter', async () => {
      const talk = await SessionDriver.create(get());
      const text = 'äß€😀 \u0000 \u2028 "\\" <b> \ud83d\ude00 \u001f';
      await talk.send('m1', { text });
      const begun = await talk.begin();
      await talk.say(begun, text.slice(0, 5), text.slice(5));
      await talk.end(begun);
      await talk.next(begun.fence);
      const messages = await talk.messages();
      expect(messages.map(({ parts }) => parts[0])).toEqual([
        { type: 'text', text },
        { type: 'text', text, state: 'done' },
      ]);
    });
  });
}
