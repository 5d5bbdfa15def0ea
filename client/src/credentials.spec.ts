import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { isCredentials, newCredentials, newId } from './credentials.js';

describe('credentials', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('are new ones each time, of the contract’s form', () => {
    const made = Array.from({ length: 50 }, newCredentials);
    expect(made.every(isCredentials)).toBe(true);
    expect(new Set(made.flatMap(({ sessionId, key }) => [sessionId, key])).size).toBe(100);
  });

  it('say what is missing where a runtime has no random source, as React Native', () => {
    jest.replaceProperty(globalThis, 'crypto', undefined as never);
    expect(() => newId()).toThrow('react-native-get-random-values');
  });

  const key = 'k'.repeat(32);
  it.each([
    ['nothing', undefined],
    ['a text', 'session'],
    ['no id', { key }],
    ['an id that is too short', { sessionId: 'short', key }],
    ['an id that is too long', { sessionId: 's'.repeat(65), key }],
    ['an id of other characters', { sessionId: 'not an id at all', key }],
    ['a key that is too short', { sessionId: 's'.repeat(16), key: 'k' }],
    ['a key that is too long', { sessionId: 's'.repeat(16), key: 'k'.repeat(129) }],
  ])('are not %s', (_what, value) => {
    expect(isCredentials(value)).toBe(false);
  });
});
