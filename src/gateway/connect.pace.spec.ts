import { setImmediate as nextTurn } from 'node:timers/promises';
import { Socket } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { ConnectPace } from './connect.pace.js';

describe('ConnectPace', () => {
  it('[LIM-16] lets those who wait in by their order, and only so many in a turn of the event loop', async () => {
    const pace = new ConnectPace();
    const came: number[] = [];
    const all = Array.from({ length: 100 }, (_, index) =>
      pace.upgrade(new Socket()).then((present) => present && came.push(index)),
    );
    expect(came).toEqual([]);
    const perTurn: number[] = [];
    while (came.length < 100) {
      const before = came.length;
      await nextTurn();
      perTurn.push(came.length - before);
    }
    await Promise.all(all);
    expect(came).toEqual(Array.from({ length: 100 }, (_, index) => index));
    expect(Math.max(...perTurn)).toBeLessThanOrEqual(4);
    expect(perTurn.length).toBeGreaterThanOrEqual(25);
  });

  it('[LIM-16] lets one who comes alone in at the next turn, also after a crowd', async () => {
    const pace = new ConnectPace();
    await Promise.all(Array.from({ length: 50 }, () => pace.upgrade(new Socket())));
    let present = false;
    void pace.upgrade(new Socket()).then((found) => (present = found));
    await nextTurn();
    await nextTurn();
    expect(present).toBe(true);
  });

  it('[LIM-16] passes over those who have gone, and no error of theirs is anybody’s', async () => {
    const pace = new ConnectPace();
    const [first, gone, last] = [new Socket(), new Socket(), new Socket()];
    const waiting = [first, gone, last].map((socket) => pace.upgrade(socket));
    gone.destroy(new Error('reset'));
    await nextTurn();
    expect(await Promise.all(waiting)).toEqual([true, false, true]);
    // Whoever took them over listens from here on.
    for (const socket of [first, last]) expect(socket.listenerCount('error')).toBe(0);
  });
});
