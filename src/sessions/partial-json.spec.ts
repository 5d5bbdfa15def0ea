import { describe, expect, it } from '@jest/globals';
import { parsePartialJson as parseByAiSdk } from 'ai';
import fc from 'fast-check';
import { FORBIDDEN_KEYS } from '../protocol.js';
import { parsePartialJson } from './partial-json.js';

/** Without forbidden keys, and without what the AI SDK misreads: exponents with a plus sign, escapes in keys. */
const json = fc
  .jsonValue({ maxDepth: 4, noUnicodeString: false })
  .map((value) => [JSON.stringify(value), JSON.stringify(value, undefined, 2)])
  .filter(([text = '']) => !/e\+|__proto__|constructor|prototype|\\.*:/s.test(text))
  .chain((texts) => fc.constantFrom(...texts));

const cut = json.chain((text) => fc.nat(text.length).map((length) => text.slice(0, length)));

describe('parsePartialJson', () => {
  it('says of any JSON that was cut anywhere what the AI SDK says', async () => {
    await fc.assert(
      fc.asyncProperty(cut, async (text) => {
        expect(parsePartialJson(text)).toEqual((await parseByAiSdk(text)).value);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['{"city": "Lis', { city: 'Lis' }],
    ['{"city": "Lisbon", "unit', { city: 'Lisbon' }],
    ['{"city": "Lisbon", "unit":', { city: 'Lisbon' }],
    ['{"a\\"b": "c\\', { 'a"b': 'c' }],
    ['{"a": "\\u00e', { a: '' }],
    ['["\\\\\\"', ['\\"']],
    ['{"exact": tr', { exact: true }],
    ['{"n": -', {}],
    ['{"n": 1.', { n: 1 }],
    ['[[1, {"a": [', [[1, { a: [] }]]],
    ['[1, "', [1, '']],
    ['', undefined],
    ['  ', undefined],
    ['not json', undefined],
    ['{"a" 1}', undefined],
  ])('%j', (text, value) => {
    expect(parsePartialJson(text)).toEqual(value);
  });

  it('refuses forbidden keys, however they are written', () => {
    for (const key of FORBIDDEN_KEYS) expect(parsePartialJson(`{"${key}": {"a": 1}}`)).toBeUndefined();
    expect(parsePartialJson('{"\\u005f_proto__": {"polluted": true}}')).toBeUndefined();
  });
});
