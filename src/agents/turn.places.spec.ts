import { describe, expect, it } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { TurnPlaces } from './turn.places.js';

/** Asks for a place, and notes when it is given. */
function asker(places: TurnPlaces): (name: string, subject?: string) => Promise<() => void> {
  return async (name, subject) => {
    const leave = await places.acquire(subject);
    given.push(name);
    return leave;
  };
}

let given: string[] = [];

describe('TurnPlaces', () => {
  it('[LIM-12] gives a subject its own number, in order, and who waits for it takes no place of the node', async () => {
    given = [];
    const ask = asker(new TurnPlaces(3, 1));
    const leave = await ask('ada 1', 'ada');
    const second = ask('ada 2', 'ada');
    const third = ask('ada 3', 'ada');
    await ask('bob 1', 'bob');
    await ask('nobody');
    expect(given).toEqual(['ada 1', 'bob 1', 'nobody']);
    leave();
    (await second)();
    await third;
    expect(given.slice(3)).toEqual(['ada 2', 'ada 3']);
  });

  it('[LIM-12] lets nobody past the number of the node, and forgets who has left', async () => {
    given = [];
    const places = new TurnPlaces(1, 5);
    const ask = asker(places);
    const leave = await ask('ada 1', 'ada');
    const second = ask('ada 2', 'ada');
    const third = ask('bob 1', 'bob');
    await setImmediate();
    expect(given).toEqual(['ada 1']);
    leave();
    leave();
    await setImmediate();
    expect(given).toEqual(['ada 1', 'ada 2']);
    (await second)();
    (await third)();
    expect(given).toEqual(['ada 1', 'ada 2', 'bob 1']);
    expect(places.subjects).toBe(0);
  });
});
