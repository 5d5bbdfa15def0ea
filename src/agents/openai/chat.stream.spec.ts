import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ModelPart } from '../model.provider.js';
import { ChatStream } from './chat.stream.js';

/** What each write brought, merged over all of them; text that JSON and UTF-8 can hold comes through as it is. */
function read(bytes: Uint8Array, cuts: readonly number[]): ModelPart[] {
  const stream = new ChatStream(new Set(), undefined);
  const parts: ModelPart[] = [];
  let from = 0;
  for (const to of [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    stream.write(bytes.subarray(from, to));
    parts.push(...stream.take());
    from = to;
  }
  stream.end();
  return [...parts, ...stream.take()];
}

function textOf(parts: readonly ModelPart[], type: 'text' | 'reasoning'): string {
  return parts.map((part) => (part.type === type ? part.text : '')).join('');
}

type Delta = { content: string } | { reasoning_content: string } | { content: string; role: string };

function toEvents(deltas: readonly Delta[], spaced: boolean, extra: object): string {
  const chunks = deltas.map((delta) => ({
    id: 'chatcmpl-1',
    choices: [{ index: 0, delta, finish_reason: null }],
    ...extra,
  }));
  const end = { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] };
  const lines = [...chunks, end].map((chunk) =>
    spaced ? JSON.stringify(chunk, null, ' ').replaceAll('\n', '') : JSON.stringify(chunk),
  );
  return [...lines, '[DONE]'].map((line) => `data: ${line}\n\n`).join('');
}

const text = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }),
  fc.constantFrom('"', '\\', '\n', '"content":"', '"}', '\\"', '⚓', 'plain', ' and', 'x'),
);
const delta: fc.Arbitrary<Delta> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ content: text }) },
  { weight: 1, arbitrary: fc.record({ content: text, role: fc.constant('assistant') }) },
  { weight: 1, arbitrary: fc.record({ reasoning_content: text }) },
);
const extra = fc.constantFrom<object>(
  {},
  { usage: null },
  { meta: { content: 'plain' } },
  { content: 'x' },
  { note: '"content":"' },
);

describe('ChatStream', () => {
  it('[MOD-1] reads any text, however the vendor writes its chunks and the network cuts them', () => {
    fc.assert(
      fc.property(
        fc.array(delta, { minLength: 1, maxLength: 30 }),
        fc.boolean(),
        extra,
        fc.array(fc.nat(), { maxLength: 20 }),
        (deltas, spaced, more, cuts) => {
          const parts = read(Buffer.from(toEvents(deltas, spaced, more)), cuts);
          const said = (key: string): string =>
            deltas.map((each) => (each as Record<string, string>)[key] ?? '').join('');
          const shown = (written: string): string => written.toWellFormed().replaceAll('\0', '\uFFFD');
          expect(textOf(parts, 'text')).toBe(shown(said('content')));
          expect(textOf(parts, 'reasoning')).toBe(shown(said('reasoning_content')));
          expect(parts.at(-1)).toEqual({ type: 'finish', reason: 'stop' });
        },
      ),
      { numRuns: 500 },
    );
  });

  it('gives what one read brought as one part', () => {
    const deltas = Array.from({ length: 100 }, (_, index) => ({ content: `t${index} ` }));
    expect(read(Buffer.from(toEvents(deltas, false, {})), []).map(({ type }) => type)).toEqual([
      'text',
      'finish',
    ]);
  });

  it('takes a chunk that resembles the one before only as what it is', () => {
    const chunk = (content: string, more = ''): string =>
      `data: {"choices":[{"delta":{"content":"${content}"${more}}}]}\n\n`;
    const reading = chunk('a') + chunk('b') + chunk('c","refusal":"d') + chunk('e');
    const parts = read(Buffer.from(`${reading}data: {"choices":[{"finish_reason":"stop"}]}\n\n`), []);
    expect(textOf(parts, 'text')).toBe('abcde');
    expect(parts.at(-1)).toEqual({ type: 'finish', reason: 'content-filter' });
  });

  it('gives a call another id where the conversation has it already', () => {
    const stream = new ChatStream(new Set(['call_0']), undefined);
    const call = (index: number): string =>
      `data: {"choices":[{"delta":{"tool_calls":[{"index":${index},"id":"call_${index}","function":{"name":"f","arguments":"{}"}}]}}]}\n\n`;
    stream.write(Buffer.from(`${call(0)}${call(1)}data: {"choices":[{"finish_reason":"tool_calls"}]}\n\n`));
    stream.end();
    const ids = stream.take().flatMap((part) => (part.type === 'tool-call' ? part.toolCallId : []));
    expect(ids).toEqual([expect.stringMatching(/^call_.{36}$/), 'call_1']);
  });

  it('does not hold an event that never ends', () => {
    const stream = new ChatStream(new Set(), undefined);
    const more = Buffer.from('x'.repeat(1024 * 1024));
    stream.write(Buffer.from('data: '));
    expect(() => {
      for (let count = 0; count < 8; count += 1) stream.write(more);
    }).toThrow('cannot be read');
  });
});
