import { describe, expect, it } from '@jest/globals';
import { LIMITS, PLACEHOLDER_TEXT } from '../../src/protocol.js';
import { ALICE, idsOf, SessionDriver, type StoreUnderTest } from './store.driver.js';

/** Messages, the turns that they make, and who may run them. */
export function describeTurns(get: () => StoreUnderTest): void {
  describe('sends', () => {
    it('are stored once, however often they are repeated, and always answer with the same turn', async () => {
      const talk = await (await SessionDriver.create(get())).attach();
      const first = await talk.send('m1');
      expect(first).toMatchObject({
        kind: 'accepted',
        turnId: 'turn of m1',
        messageId: 'm1',
        state: 'queued',
      });
      const again = await talk.send('m1', { turnId: 'another' });
      expect(again).toEqual({ kind: 'duplicate', turnId: 'turn of m1', messageId: 'm1', state: 'queued' });
      const begun = await talk.begin();
      expect(await talk.send('m1')).toMatchObject({ kind: 'duplicate', state: 'running' });
      await talk.end(begun, { state: 'failed', error: { code: 'internal', message: 'no', retryable: true } });
      expect(await talk.send('m1', { admit: false })).toMatchObject({ kind: 'duplicate', state: 'failed' });
      expect(await talk.messageIds()).toEqual(['m1', 'answer of turn of m1']);
      expect(
        talk.packets.flatMap(({ events }) => events).filter(({ type }) => type === 'message'),
      ).toHaveLength(1);
    });

    it('at the same time are stored once', async () => {
      const talk = await SessionDriver.create(get());
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, (_, index) => talk.send('m1', { turnId: `turn ${index}` })),
      );
      expect(outcomes.filter(({ kind }) => kind === 'accepted')).toHaveLength(1);
      expect(new Set(outcomes.map((outcome) => 'turnId' in outcome && outcome.turnId)).size).toBe(1);
      expect(await talk.messageIds()).toEqual(['m1']);
    });

    it('conflict with another text under the same id, and with an answer of that id', async () => {
      const talk = await SessionDriver.create(get());
      await talk.turn('m1');
      expect(await talk.send('m1', { text: 'something else' })).toEqual({ kind: 'conflict' });
      expect(await talk.send('answer of turn of m1')).toEqual({ kind: 'conflict' });
    });

    it('are refused while draining, and nothing is kept', async () => {
      const talk = await SessionDriver.create(get());
      expect(await talk.send('m1', { admit: false })).toEqual({ kind: 'draining' });
      expect(await talk.messageIds()).toEqual([]);
      expect(await talk.position()).toMatchObject({ seq: 0 });
    });

    it('wait in their order, up to the limit; `reject` waits for nobody', async () => {
      const talk = await SessionDriver.create(get());
      expect(await talk.send('m0', { whenBusy: 'reject' })).toMatchObject({ kind: 'accepted' });
      const begun = await talk.begin();
      expect(await talk.send('x', { whenBusy: 'reject' })).toEqual({ kind: 'busy' });
      for (let index = 1; index <= LIMITS.queuedTurns; index += 1) await talk.send(`m${index}`);
      expect(await talk.send('x')).toEqual({ kind: 'queue_full' });
      expect(await talk.send('x', { whenBusy: 'interrupt' })).toEqual({ kind: 'queue_full' });
      await talk.end(begun);
      const { turns } = await talk.read();
      expect(turns.map(({ messageId }) => messageId)).toEqual(
        Array.from({ length: LIMITS.queuedTurns }, (_, index) => `m${index + 1}`),
      );
      const next = await talk.begin(begun.fence);
      expect(next.turn.messageId).toBe('m1');
      expect(await talk.send('x')).toMatchObject({ kind: 'accepted' });
    });

    it('that interrupt run next, before those waiting', async () => {
      const talk = await SessionDriver.create(get());
      expect(await talk.send('m1', { whenBusy: 'interrupt' })).not.toHaveProperty(
        'interrupts',
        expect.anything(),
      );
      const begun = await talk.begin();
      await talk.send('m2');
      const outcome = await talk.send('m3', { whenBusy: 'interrupt' });
      expect(outcome).toMatchObject({ kind: 'accepted', state: 'queued', interrupts: 'turn of m1' });
      await talk.say(begun, 'half an ans');
      await talk.end(begun, { state: 'interrupted', reason: 'message' });
      const next = await talk.begin(begun.fence);
      expect(next.turn.messageId).toBe('m3');
      expect(await talk.messageIds()).toEqual(['m1', 'answer of turn of m1', 'm3', 'm2']);
    });
  });

  describe('turns', () => {
    it('begin, go on and end under the fence of the claim; the answer is stored with the end', async () => {
      const talk = await (await SessionDriver.create(get())).attach();
      await talk.send('m1', { text: 'Hello?' });
      const begun = await talk.begin();
      expect(begun.turn).toMatchObject({ turnId: 'turn of m1', messageId: 'm1', agent: 'alice' });
      await talk.say(begun, 'Hel', 'lo');
      expect(await talk.messageIds()).toEqual(['m1']);
      const appended = await talk.end(begun);
      expect(appended).toMatchObject({
        kind: 'appended',
        packet: { events: [{ type: 'chunk' }, { type: 'turn' }] },
      });
      expect((await talk.messages())[1]?.parts).toEqual([{ type: 'text', text: 'Hello', state: 'done' }]);
      expect(talk.packets.at(-1)?.events.at(-1)).toMatchObject({
        type: 'turn',
        turnId: 'turn of m1',
        state: 'completed',
        finishReason: 'stop',
        agent: 'alice',
      });
      expect(await talk.next(begun.fence)).toEqual({ kind: 'idle' });
      expect((await talk.read()).turns).toEqual([]);
      expect((await talk.open())?.session.title).toBe('Hello?');
    });

    it('[STO-6] have one owner at a time, and a fence that only grows', async () => {
      const { lease } = get();
      const talk = await SessionDriver.create(get());
      await talk.send('m1');
      const first = await talk.claim();
      expect(await lease.claim(talk.sessionId)).toBeUndefined();
      await lease.release(talk.sessionId, first);
      const second = await talk.claim();
      expect(second).toBeGreaterThan(first);
      expect(await talk.next(first)).toEqual({ kind: 'deposed' });
      await lease.release(talk.sessionId, first);
      expect(await lease.claim(talk.sessionId)).toBeUndefined();
      await talk.accept({ kind: 'cancel', turnId: 'turn of m1' });
      expect(await talk.next(second)).toEqual({ kind: 'idle' });
      expect(await talk.claim()).toBeGreaterThan(second);
      expect(await lease.claim('no such session at all')).toBeUndefined();
    });

    it('[STO-6] take nothing from whoever holds an older fence, or none', async () => {
      const { lease } = get();
      const talk = await SessionDriver.create(get());
      await talk.send('m1');
      const begun = await talk.begin();
      const before = await talk.read();
      expect(await talk.say({ ...begun, fence: begun.fence - 1 }, 'lost')).toEqual({ kind: 'deposed' });
      expect(await talk.end({ ...begun, fence: begun.fence + 1 })).toEqual({ kind: 'deposed' });
      expect(await talk.read()).toEqual(before);
      await lease.release(talk.sessionId, begun.fence);
      expect(await talk.say(begun, 'lost')).toEqual({ kind: 'deposed' });
      const newer = await talk.claim();
      expect(await talk.say(begun, 'lost')).toEqual({ kind: 'deposed' });
      expect(await talk.read()).toEqual(before);
      expect(await talk.say({ ...begun, fence: newer }, 'kept')).toMatchObject({ kind: 'appended' });
    });

    it('that nobody owns any more are due, and come as abandoned, with all events of their log', async () => {
      const { lease } = get();
      const talk = await SessionDriver.create(get());
      const waiting = await SessionDriver.create(get());
      await waiting.send('w1');
      expect(await lease.due()).toEqual([waiting.sessionId]);
      await talk.send('m1');
      const begun = await talk.begin();
      await talk.say(begun, 'Hel', 'lo');
      expect(await lease.due()).toEqual([waiting.sessionId]);
      await lease.release(talk.sessionId, begun.fence);
      expect((await lease.due()).sort()).toEqual([talk.sessionId, waiting.sessionId].sort());
      const fence = await talk.claim();
      const next = await talk.next(fence);
      expect(next).toMatchObject({ kind: 'abandoned', turn: begun.turn, agent: ALICE });
      expect(next.kind === 'abandoned' && next.events).toMatchObject([
        { type: 'turn', state: 'running' },
        { type: 'chunk', chunk: { type: 'start' } },
        { type: 'chunk', chunk: { type: 'text-start' } },
        { type: 'chunk', chunk: { delta: 'Hel' } },
        { type: 'chunk', chunk: { delta: 'lo' } },
      ]);
      await talk.end({ ...begun, fence }, { state: 'interrupted', reason: 'node_lost' });
      expect(await talk.next(fence)).toEqual({ kind: 'idle' });
    });

    it('are stopped by their owner alone, who says how they end', async () => {
      const { lease } = get();
      const ending = { state: 'cancelled' } as const;
      expect(await lease.stop('some session', 'turn', ending)).toBeUndefined();
      lease.onStop(async (sessionId, turnId, asked) => (turnId === 'mine' ? asked : undefined));
      expect(await lease.stop('some session', 'mine', ending)).toEqual(ending);
      expect(await lease.stop('some session', 'other', ending)).toBeUndefined();
    });
  });

  describe('cancels', () => {
    it('end a waiting turn where it stands, and only say so of others', async () => {
      const talk = await (await SessionDriver.create(get())).attach();
      expect(await talk.accept({ kind: 'cancel' })).toEqual({ kind: 'no_turn' });
      for (const id of ['m1', 'm2', 'm3', 'm4']) await talk.send(id);
      const begun = await talk.begin();
      expect(await talk.accept({ kind: 'cancel' })).toEqual({ kind: 'running', turnId: 'turn of m1' });
      const cancel = { kind: 'cancel', turnId: 'turn of m3' } as const;
      const ended = { kind: 'ended', turnId: 'turn of m3', state: 'cancelled' };
      expect(await talk.accept(cancel)).toEqual(ended);
      expect(await talk.accept(cancel)).toEqual(ended);
      expect(await talk.accept({ kind: 'cancel', turnId: 'unknown' })).toEqual({ kind: 'no_turn' });
      expect(talk.packets.at(-1)?.events).toMatchObject([
        { type: 'message', message: { role: 'assistant', parts: [{ text: PLACEHOLDER_TEXT }] } },
        { type: 'turn', turnId: 'turn of m3', messageId: 'm3', state: 'cancelled' },
      ]);
      expect(idsOf(await talk.messages())).toEqual(['m1', 'm3', 'unrun cancelled', 'm2', 'm4']);
      await talk.end(begun);
      expect(await talk.accept({ kind: 'cancel', turnId: 'turn of m1' })).toMatchObject({
        state: 'completed',
      });
      const next = await talk.begin(begun.fence);
      expect(next.turn.messageId).toBe('m2');
      expect(idsOf(await talk.messages())).toEqual([
        'm1',
        'answer of turn of m1',
        'm3',
        'unrun cancelled',
        'm2',
        'm4',
      ]);
      expect(await talk.send('m3')).toMatchObject({ kind: 'duplicate', state: 'cancelled' });
    });

    it('of all that wait end them in their order', async () => {
      const talk = await SessionDriver.create(get());
      for (const id of ['m1', 'm2', 'm3']) await talk.send(id);
      expect(await talk.accept({ kind: 'end-waiting', reason: 'detached' })).toEqual({ kind: 'done' });
      expect(await talk.accept({ kind: 'end-waiting', reason: 'detached' })).toEqual({ kind: 'done' });
      const unrun = 'unrun interrupted';
      expect(idsOf(await talk.messages())).toEqual(['m1', unrun, 'm2', unrun, 'm3', unrun]);
      expect((await talk.read()).turns).toEqual([]);
      expect(await talk.send('m2')).toMatchObject({ kind: 'duplicate', state: 'interrupted' });
    });
  });

  describe('retries', () => {
    it('withdraw all after the message, whose turn is a new one', async () => {
      const talk = await (await SessionDriver.create(get())).attach();
      for (const id of ['m1', 'm2', 'm3']) await talk.turn(id);
      const outcome = await talk.retry('r1', { messageId: 'm2', text: 'said otherwise' });
      expect(outcome).toMatchObject({ kind: 'accepted', turnId: 'turn of retry r1', messageId: 'm2' });
      expect(talk.packets.at(-1)?.events).toMatchObject([
        { type: 'truncated', afterMessageId: 'm2' },
        { type: 'message', message: { id: 'm2', parts: [{ text: 'said otherwise' }] } },
        { type: 'turn', turnId: 'turn of retry r1', state: 'queued' },
      ]);
      expect(await talk.messageIds()).toEqual(['m1', 'answer of turn of m1', 'm2']);
      const begun = await talk.begin();
      await talk.end(begun);
      await talk.next(begun.fence);
      expect(await talk.messageIds()).toEqual([
        'm1',
        'answer of turn of m1',
        'm2',
        'answer of turn of retry r1',
      ]);
      expect((await talk.messages())[2]?.parts).toEqual([{ type: 'text', text: 'said otherwise' }]);
      expect(await talk.send('m3')).toMatchObject({ kind: 'duplicate', state: 'completed' });
      expect(await talk.send('m2')).toMatchObject({ kind: 'duplicate', turnId: 'turn of m2' });
    });

    it('answer the last message by default, are repeatable, and wait for an idle session', async () => {
      const talk = await SessionDriver.create(get());
      expect(await talk.retry('r0')).toEqual({ kind: 'unknown_message' });
      await talk.turn('m1');
      expect(await talk.retry('r1', { messageId: 'answer of turn of m1' })).toEqual({
        kind: 'unknown_message',
      });
      expect(await talk.retry('r1', { messageId: 'nothing' })).toEqual({ kind: 'unknown_message' });
      expect(await talk.retry('r1', { admit: false })).toEqual({ kind: 'draining' });
      expect(await talk.retry('r1')).toMatchObject({ kind: 'accepted', messageId: 'm1' });
      expect(await talk.retry('r1')).toMatchObject({ kind: 'duplicate', state: 'queued' });
      expect(await talk.retry('r1', { text: 'other' })).toEqual({ kind: 'conflict' });
      expect(await talk.retry('r2')).toEqual({ kind: 'busy' });
      // An id of a send is no id of a retry.
      expect(await talk.retry('m1')).toEqual({ kind: 'busy' });
      await talk.accept({ kind: 'cancel', turnId: 'turn of retry r1' });
      expect(idsOf(await talk.messages())).toEqual(['m1', 'unrun cancelled']);
      expect(await talk.retry('m1')).toMatchObject({ kind: 'accepted', turnId: 'turn of retry m1' });
    });
  });
}
