import { describe, expect, it } from '@jest/globals';
import type { EventPacket } from '../../src/protocol.js';
import { SessionDriver, type StoreUnderTest } from './store.driver.js';

/** What reaches a node's sockets, and whose sessions count as attached. */
export function describeFeed(get: () => StoreUnderTest): void {
  describe('the feed', () => {
    it('delivers the packets of subscribed sessions in order, each from where the last one ended', async () => {
      const talk = await SessionDriver.create(get());
      await talk.turn('m1');
      const { position } = await talk.read();
      await talk.attach();
      expect(talk.packets).toEqual([]);
      await talk.turn('m2');
      await talk.send('m3');
      await talk.accept({ kind: 'cancel', turnId: 'turn of m3' });
      let { seq } = position;
      for (const { epoch, from, to, events } of talk.packets) {
        expect({ epoch, from }).toEqual({ epoch: position.epoch, from: seq });
        expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => from + 1 + index));
        expect(to).toBe(from + events.length);
        expect(to).toBeGreaterThan(from);
        seq = to;
      }
      expect(seq).toBe((await talk.position()).seq);
      await talk.detach();
      const { length } = talk.packets;
      await talk.turn('m4');
      expect(talk.packets).toHaveLength(length);
    });

    it('delivers nothing of other sessions', async () => {
      const packets: EventPacket[] = [];
      const mine = await SessionDriver.create(get());
      const other = await SessionDriver.create(get());
      get().feed.onEvents((packet) => packets.push(packet));
      await get().feed.subscribe(mine.sessionId);
      await Promise.all([mine.turn('m1'), other.turn('o1')]);
      expect(new Set(packets.map(({ sessionId }) => sessionId))).toEqual(new Set([mine.sessionId]));
      expect(JSON.stringify(packets)).not.toContain('o1');
    });

    it('delivers a packet when it is durable: a reader that has seen it finds it in the log', async () => {
      const talk = await SessionDriver.create(get());
      const before = await talk.position();
      const readings: Promise<boolean>[] = [];
      get().feed.onEvents(({ to }) => {
        readings.push(talk.read(before).then(({ position }) => position.seq >= to));
      });
      await get().feed.subscribe(talk.sessionId);
      await talk.turn('m1');
      expect(readings.length).toBeGreaterThan(3);
      expect(await Promise.all(readings)).not.toContain(false);
    });

    it('makes a session attached for as long as it is subscribed', async () => {
      const { store, feed, elapse, now } = get();
      const talk = await SessionDriver.create(get());
      const state = async (): Promise<boolean | undefined> =>
        (await store.list({ limit: 5 })).sessions.find(({ sessionId }) => sessionId === talk.sessionId)
          ?.attached;
      expect(await state()).toBe(false);
      await feed.subscribe(talk.sessionId);
      await feed.subscribe(talk.sessionId);
      expect(await state()).toBe(true);
      expect((await talk.open())?.idleSince).toBeUndefined();
      await elapse(1_000);
      await feed.unsubscribe(talk.sessionId);
      expect(await state()).toBe(false);
      expect((await talk.open())?.idleSince).toBe(now());
      // At once again, and gone again, in one go.
      await Promise.all([feed.subscribe(talk.sessionId), feed.unsubscribe(talk.sessionId)]);
      expect(await state()).toBe(false);
      expect((await talk.open())?.idleSince).toBe(now());
      await feed.unsubscribe('a session that is not there');
      await feed.subscribe('a session that is not there');
    });
  });
}
