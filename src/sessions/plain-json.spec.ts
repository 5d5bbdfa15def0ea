import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { LIMITS } from '../protocol.js';
import { plainCopy, wellFormed } from './plain-json.js';

describe('plainCopy', () => {
  it('copies any JSON value as it is, keys in their order', () => {
    const json = fc
      .jsonValue({ maxDepth: 8 })
      .filter((value) => !/__proto__|constructor|prototype/.test(JSON.stringify(value)));
    fc.assert(
      fc.property(json, (value) => {
        const copied = plainCopy(value);
        const expected: unknown = JSON.parse(
          wellFormed(JSON.stringify(value)).replaceAll('\\u0000', '\ufffd'),
        );
        expect(copied.ok && JSON.stringify(copied.value)).toBe(JSON.stringify(expected));
      }),
    );
  });

  it.each([LIMITS.jsonDepth, LIMITS.jsonDepth + 1, 100_000])('%i levels', (levels) => {
    const deep: unknown = JSON.parse('['.repeat(levels) + ']'.repeat(levels));
    expect(plainCopy(deep).ok).toBe(levels <= LIMITS.jsonDepth);
  });

  it('refuses binary data and forbidden keys, and says where', () => {
    expect(plainCopy({ a: [1, Buffer.from('x')] })).toMatchObject({ ok: false, issue: { path: 'a.1' } });
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      const value: unknown = JSON.parse(`{"a":{"${key}":{}}}`);
      expect(plainCopy(value)).toMatchObject({ ok: false, issue: { path: `a.${key}` } });
    }
  });
});
