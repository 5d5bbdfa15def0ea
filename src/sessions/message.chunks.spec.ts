import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asJson, cutAnswer, END, foldByAiSdk, foldOf, START } from '../../test/support/answers.js';
import type { UIMessageChunk } from '../protocol.js';
import { chunksBetween, storedAnswer } from './message.chunks.js';
import { AnswerFold, closingChunks } from './message.fold.js';

/** An answer and two places in it, the first not after the second. */
const places = cutAnswer.chain((chunks) =>
  fc
    .tuple(fc.nat(chunks.length), fc.nat(chunks.length))
    .map(([a, b]) => ({ chunks, had: Math.min(a, b), has: Math.max(a, b) })),
);

describe('chunksBetween', () => {
  it('[CLI-11] leads from any place of an answer to any later one, and the log goes on from there', () => {
    fc.assert(
      fc.property(places, ({ chunks, had, has }) => {
        const told = foldOf(chunks.slice(0, had));
        const present = foldOf(chunks.slice(0, has));
        for (const chunk of chunksBetween(told, present) ?? []) told.apply(chunk);
        expect(asJson(told.message)).toEqual(asJson(present.message));
        expect(told.stepOpen).toBe(present.stepOpen);
        for (const chunk of chunks.slice(has)) told.apply(chunk);
        expect(asJson(told.message)).toEqual(asJson(foldOf(chunks).message));
      }),
      { numRuns: 1_000 },
    );
  });

  it('[CLI-11] what was told, what is told between and what follows is one stream to the AI SDK', async () => {
    await fc.assert(
      fc.asyncProperty(places, async ({ chunks, had, has }) => {
        const first = chunks.slice(0, had);
        const between = chunksBetween(foldOf(first), foldOf(chunks.slice(0, has)));
        const all = [...first, ...(between ?? []), ...chunks.slice(has), END];
        // Without a start the AI SDK makes an id up.
        fc.pre(all.some(({ type }) => type === 'start'));
        expect(await foldByAiSdk(all)).toEqual(asJson(foldOf([...chunks, END]).message));
      }),
      { numRuns: 500 },
    );
  });

  it('[CLI-11] leads to the stored answer, from its begin or from where somebody was cut off', () => {
    fc.assert(
      fc.property(places, ({ chunks, had }) => {
        const whole = foldOf(chunks);
        for (const chunk of [...closingChunks(whole, { reason: 'closed' }), END]) whole.apply(chunk);
        const stored = storedAnswer(asJson(whole.message));
        for (const told of [new AnswerFold(), foldOf(chunks.slice(0, had))]) {
          for (const chunk of chunksBetween(told, stored) ?? []) told.apply(chunk);
          expect(asJson(told.message)).toEqual(stored.message);
          expect(told.openParts()).toEqual({ text: [], reasoning: [], toolCalls: [] });
        }
      }),
      { numRuns: 500 },
    );
  });

  const open: UIMessageChunk[] = [
    START,
    { type: 'start-step' },
    { type: 'text-start', id: 'a' },
    { type: 'text-delta', id: 'a', delta: 'one' },
  ];
  it.each<[string, UIMessageChunk[]]>([
    ['another answer', [{ type: 'start', messageId: 'm2' }]],
    ['one that lost a part', [START]],
    ['one that lost characters', [...open.slice(0, 3), { type: 'text-delta', id: 'a', delta: 'on' }]],
    ['one of another kind', [...open.slice(0, 2), { type: 'reasoning-start', id: 'a' }]],
  ])('[CLI-11] says so where the present answer is %s', (_what, present) => {
    expect(chunksBetween(foldOf(open), foldOf(present))).toBeUndefined();
  });

  it('tells nothing to who has everything', () => {
    expect(chunksBetween(foldOf(open), foldOf(open))).toEqual([]);
    expect(chunksBetween(new AnswerFold(), new AnswerFold())).toEqual([]);
  });
});
