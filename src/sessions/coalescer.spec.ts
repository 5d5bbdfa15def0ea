import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { SessionEvent, UIMessageChunk } from '../protocol.js';
import { isDelta, mergeChunks, mergeEvents } from './coalescer.js';
import { AnswerFold } from './message.fold.js';

const text = (id: string, delta: string): UIMessageChunk => ({ type: 'text-delta', id, delta });

/** Few ids and turns, so that runs of deltas of one part are common, and so are interruptions of them. */
const id = fc.constantFrom('a', 'b');
const delta = fc.string({ maxLength: 3 });
const chunk: fc.Arbitrary<UIMessageChunk> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('text-delta' as const), id, delta }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('reasoning-delta' as const), id, delta }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('tool-input-delta' as const),
      toolCallId: id,
      inputTextDelta: delta,
    }),
  },
  fc.record({
    type: fc.constantFrom('text-start' as const, 'text-end' as const, 'reasoning-start' as const),
    id,
  }),
  fc.record({
    type: fc.constant('tool-input-start' as const),
    toolCallId: id,
    toolName: fc.constant('clock'),
  }),
);
const chunks = fc.array(chunk, { maxLength: 40 });
const entry: fc.Arbitrary<Omit<Extract<SessionEvent, { type: 'chunk' | 'agent' }>, 'seq'>> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      type: fc.constant('chunk' as const),
      turnId: fc.constantFrom('t1', 't1', 't2'),
      chunk,
    }),
  },
  fc.constant({ type: 'agent', agent: 'bob', previous: 'alice' }),
);
/** Seqs rise with gaps, as they do where deltas were merged before. */
const events = fc
  .tuple(
    fc.array(entry, { maxLength: 40 }),
    fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 40, maxLength: 40 }),
  )
  .map(([entries, steps]) => {
    let seq = 0;
    return entries.map((each, index) => ({ ...each, seq: (seq += steps[index] ?? 1) }) as SessionEvent);
  });
/** A list and where to cut it. */
const cutEvents = events.chain((list) =>
  fc.tuple(fc.constant(list), fc.array(fc.nat(list.length), { maxLength: 5 })),
);

function pieces<Item>(list: readonly Item[], cuts: readonly number[]): Item[][] {
  const bounds = [0, ...cuts.toSorted((a, b) => a - b), list.length];
  return bounds.slice(1).map((end, index) => list.slice(bounds[index], end));
}

function fold(list: readonly UIMessageChunk[]): unknown {
  const answer = new AnswerFold();
  for (const each of list) answer.apply(each);
  return JSON.parse(JSON.stringify(answer.message));
}

const chunksOf = (list: readonly SessionEvent[], turnId: string): UIMessageChunk[] =>
  list.flatMap((event) => (event.type === 'chunk' && event.turnId === turnId ? [event.chunk] : []));

describe('isDelta', () => {
  it('knows the three kinds of deltas', () => {
    expect(isDelta(text('a', 'x'))).toBe(true);
    expect(isDelta({ type: 'reasoning-delta', id: 'a', delta: 'x' })).toBe(true);
    expect(isDelta({ type: 'tool-input-delta', toolCallId: 'a', inputTextDelta: 'x' })).toBe(true);
    expect(isDelta({ type: 'text-start', id: 'a' })).toBe(false);
    expect(isDelta({ type: 'finish' })).toBe(false);
  });
});

describe('mergeChunks', () => {
  it('joins consecutive deltas of one part, and only those', () => {
    expect(
      mergeChunks([
        { type: 'text-start', id: 'a' },
        text('a', 'Hel'),
        text('a', 'lo'),
        text('b', '!'),
        text('a', '?'),
        { type: 'reasoning-delta', id: 'a', delta: 'hm' },
        { type: 'tool-input-delta', toolCallId: 'a', inputTextDelta: '{"x"' },
        { type: 'tool-input-delta', toolCallId: 'a', inputTextDelta: ':1}' },
        { type: 'text-end', id: 'a' },
      ]),
    ).toEqual([
      { type: 'text-start', id: 'a' },
      text('a', 'Hello'),
      text('b', '!'),
      text('a', '?'),
      { type: 'reasoning-delta', id: 'a', delta: 'hm' },
      { type: 'tool-input-delta', toolCallId: 'a', inputTextDelta: '{"x":1}' },
      { type: 'text-end', id: 'a' },
    ]);
  });

  it('[RES-7] folds to the same message', () => {
    fc.assert(fc.property(chunks, (list) => expect(fold(mergeChunks(list))).toEqual(fold(list))));
  });

  it('takes time in proportion to the length', () => {
    const merged = mergeChunks(Array.from({ length: 300_000 }, () => text('a', 'word ')));
    expect(merged).toEqual([text('a', 'word '.repeat(300_000))]);
  }, 5_000);
});

describe('mergeEvents', () => {
  it("[RES-7] carries the last one's seq, and never joins two turns", () => {
    const event = (seq: number, turnId: string, delta: string): SessionEvent => ({
      seq,
      type: 'chunk',
      turnId,
      chunk: text('a', delta),
    });
    expect(mergeEvents([event(4, 't1', 'x'), event(5, 't1', 'y'), event(6, 't2', 'z')])).toEqual([
      event(5, 't1', 'xy'),
      event(6, 't2', 'z'),
    ]);
  });

  it('[RES-7] folds each turn to the same message', () => {
    fc.assert(
      fc.property(events, (list) => {
        const merged = mergeEvents(list);
        for (const turnId of ['t1', 't2']) {
          expect(fold(chunksOf(merged, turnId))).toEqual(fold(chunksOf(list, turnId)));
        }
      }),
    );
  });

  it('is idempotent, and merging pieces first makes no difference', () => {
    fc.assert(
      fc.property(cutEvents, ([list, cuts]) => {
        const merged = mergeEvents(list);
        expect(mergeEvents(merged)).toEqual(merged);
        expect(mergeEvents(pieces(list, cuts).flatMap(mergeEvents))).toEqual(merged);
      }),
    );
  });

  it('lets seqs rise to the same last one, and leaves single events and its input as they were', () => {
    fc.assert(
      fc.property(events, (list) => {
        const before = structuredClone(list);
        const merged = mergeEvents(list);
        expect(list).toEqual(before);
        const seqs = merged.map(({ seq }) => seq);
        expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
        expect(seqs.at(-1)).toBe(list.at(-1)?.seq);
        expect((seqs[0] ?? 0) >= (list[0]?.seq ?? 0)).toBe(true);
        const bySeq = new Map(list.map((event) => [event.seq, event]));
        for (const event of merged) {
          const source = bySeq.get(event.seq);
          if (event.type === 'chunk' && isDelta(event.chunk)) expect(source).toMatchObject({ type: 'chunk' });
          else expect(event).toBe(source);
        }
      }),
    );
  });
});
