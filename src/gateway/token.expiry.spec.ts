import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { atExpiry, isExpired } from './token.expiry.js';

const WEEK_MS = 7 * 24 * 3_600_000;

describe('the end of a token', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  const now = (): number => Date.now();

  it('[CONN-6] is told once, when it comes, also where no timer can hold the time until then', () => {
    const ended = jest.fn();
    atExpiry({ kind: 'subject', sub: 'ada', expiresAt: now() + 10 * WEEK_MS }, ended);
    jest.advanceTimersByTime(10 * WEEK_MS - 1);
    expect(ended).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1);
    expect(ended).toHaveBeenCalledTimes(1);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('[CONN-6] is told at once of one that has ended', () => {
    const ended = jest.fn();
    atExpiry({ kind: 'subject', sub: 'ada', expiresAt: now() }, ended);
    expect(ended).toHaveBeenCalledTimes(1);
  });

  it('[CONN-6] is forgotten, and never comes without one', () => {
    const ended = jest.fn();
    atExpiry({ kind: 'subject', sub: 'ada', expiresAt: now() + 1_000 }, ended)();
    atExpiry({ kind: 'subject', sub: 'ada' }, ended);
    atExpiry({ kind: 'anonymous' }, ended);
    expect(jest.getTimerCount()).toBe(0);
    expect(ended).not.toHaveBeenCalled();
    expect(isExpired({ kind: 'anonymous' })).toBe(false);
    expect(isExpired({ kind: 'subject', sub: 'ada', expiresAt: now() })).toBe(true);
  });
});
