import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Config, loadConfig } from '../config.js';
import { FlushClock } from './flush.clock.js';

const INTERVAL_MS = 40;

describe('FlushClock', () => {
  let clock: FlushClock;
  beforeEach(() => {
    jest.useFakeTimers();
    clock = new FlushClock(new Config({ ...loadConfig({}), flushIntervalMs: INTERVAL_MS }));
  });
  afterEach(() => {
    jest.restoreAllMocks();
    jest.useRealTimers();
  });

  /** When each of so many streams that ask now is called, from now. */
  async function delays(streams: number): Promise<number[]> {
    const begin = performance.now();
    const called: number[] = [];
    for (let stream = 0; stream < streams; stream += 1) {
      clock.request(() => called.push(performance.now() - begin));
    }
    await jest.advanceTimersByTimeAsync(2 * INTERVAL_MS);
    return called;
  }

  it('[EVT-7] calls each within an interval, once, and few of them together', async () => {
    await jest.advanceTimersByTimeAsync(3);
    const one = await delays(1);
    expect(one).toHaveLength(1);
    expect(one[0]).toBeLessThanOrEqual(INTERVAL_MS);
    const few = await delays(50);
    expect(few).toHaveLength(50);
    expect(Math.max(...few) - Math.min(...few)).toBeLessThan(INTERVAL_MS / 8);
    const many = await delays(500);
    expect(many).toHaveLength(500);
    expect(Math.max(...many) - Math.min(...many)).toBeGreaterThan(INTERVAL_MS / 4);
    const together = [...Map.groupBy(many, (time) => time).values()].map(({ length }) => length);
    // The shares of two ticks may meet.
    expect(Math.max(...together)).toBeLessThanOrEqual(2 * 32);
    expect(Math.max(...many)).toBeLessThan(1.25 * INTERVAL_MS);
  });

  it('asked again and again calls once', async () => {
    let calls = 0;
    const flush = (): void => void (calls += 1);
    for (let time = 0; time < 5; time += 1) {
      clock.request(flush);
      await jest.advanceTimersByTimeAsync(1);
    }
    await jest.advanceTimersByTimeAsync(2 * INTERVAL_MS);
    expect(calls).toBe(1);
  });

  it('reads first, and flushes what was read with it', async () => {
    const done: string[] = [];
    clock.beforeFlush(() => {
      done.push('read');
      // As a socket that is readable now: after the timers, before the immediates.
      void Promise.resolve().then(() => clock.request(() => done.push('flush')));
    });
    await jest.advanceTimersByTimeAsync(INTERVAL_MS + 1);
    expect(done).toEqual(['read', 'flush']);
  });

  it('[EVT-7] gives who asks in a tick that began early a whole interval', async () => {
    const now = performance.now.bind(performance);
    let early = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => now() - early);
    const reads: number[] = [];
    clock.beforeFlush(() => {
      early = 1.5;
      reads.push(now());
      clock.beforeFlush(() => reads.push(now()));
      early = 0;
    });
    await jest.advanceTimersByTimeAsync(3 * INTERVAL_MS);
    const [first = 0, second = 0] = reads;
    expect(second - first).toBeGreaterThanOrEqual(INTERVAL_MS);
  });

  it('does not call whom it was told to forget', async () => {
    const flush = jest.fn();
    clock.request(flush);
    clock.forget(flush);
    await jest.advanceTimersByTimeAsync(2 * INTERVAL_MS);
    expect(flush).not.toHaveBeenCalled();
  });
});
