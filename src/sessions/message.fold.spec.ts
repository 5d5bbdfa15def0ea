import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asJson, cutAnswer, END, foldByAiSdk, foldOf, START } from '../../test/support/answers.js';
import { PLACEHOLDER_TEXT, type UIMessageChunk } from '../protocol.js';
import { AnswerFold, closingChunks } from './message.fold.js';

describe('AnswerFold', () => {
  it('[EVT-3] yields what the AI SDK yields, of whole answers and of answers cut anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(cutAnswer, async (chunks) => {
        const all = [...chunks, END];
        expect(asJson(foldOf(all).message)).toEqual(await foldByAiSdk(all));
      }),
      { numRuns: 500 },
    );
  });

  it('yields the same however often the message is read meanwhile', () => {
    fc.assert(
      fc.property(cutAnswer, (chunks) => {
        const watched = new AnswerFold();
        for (const chunk of chunks) {
          watched.apply(chunk);
          JSON.stringify(watched.message);
          watched.openParts();
        }
        expect(asJson(watched.message)).toEqual(asJson(foldOf(chunks).message));
      }),
    );
  });

  it('merges metadata at every depth, as the AI SDK does', async () => {
    const chunks: UIMessageChunk[] = [
      START,
      {
        type: 'message-metadata',
        messageMetadata: { usage: { inputTokens: 1, outputTokens: 2, estimated: true } },
      },
      {
        type: 'message-metadata',
        messageMetadata: { usage: { inputTokens: 5, outputTokens: 2, estimated: false } },
      },
      END,
      { type: 'abort', reason: 'closed' },
    ];
    const { message } = foldOf(chunks);
    expect(message.metadata).toEqual({
      turnId: 't1',
      agent: 'alice',
      createdAt: '2026-11-22T10:00:00.000Z',
      usage: { inputTokens: 5, outputTokens: 2, estimated: false },
      status: 'completed',
    });
    expect(asJson(message)).toEqual(await foldByAiSdk(chunks));
    expect(START).toHaveProperty('messageMetadata', expect.not.objectContaining({ status: 'completed' }));
  });

  it('begins anew where a start has another id', async () => {
    const chunks: UIMessageChunk[] = [
      START,
      { type: 'text-start', id: 'a' },
      { type: 'text-delta', id: 'a', delta: 'old' },
      { type: 'start', messageId: 'm2' },
      { type: 'text-start', id: 'b' },
      { type: 'text-delta', id: 'b', delta: 'new' },
    ];
    expect(asJson(foldOf(chunks).message)).toEqual(await foldByAiSdk(chunks));
    expect(foldOf(chunks).openParts().text).toEqual(['b']);
  });

  it('[EVT-11] is not moved by unknown chunks and by pieces of parts that were never begun', () => {
    const stray = [
      { type: 'data-weather', data: { city: 'Lisbon' } },
      { type: 'text-delta', id: 'x', delta: 'lost' },
      { type: 'text-end', id: 'x' },
      { type: 'reasoning-delta', id: 'x', delta: 'lost' },
      { type: 'tool-input-delta', toolCallId: 'x', inputTextDelta: '{' },
      { type: 'tool-output-available', toolCallId: 'x', output: 1 },
      { type: 'tool-output-error', toolCallId: 'x', errorText: 'lost' },
    ] as UIMessageChunk[];
    expect(asJson(foldOf([START, ...stray]).message)).toEqual(asJson(foldOf([START]).message));
  });

  it('tells what is open', () => {
    const fold = foldOf([
      START,
      { type: 'start-step' },
      { type: 'reasoning-start', id: 'r1' },
      { type: 'text-start', id: 't1' },
      { type: 'text-start', id: 't2' },
      { type: 'text-end', id: 't1' },
      { type: 'tool-input-start', toolCallId: 'c1', toolName: 'search' },
      { type: 'tool-input-delta', toolCallId: 'c1', inputTextDelta: '{"q": "li' },
      { type: 'tool-input-available', toolCallId: 'c2', toolName: 'clock', input: { zone: 'UTC' } },
      { type: 'tool-input-available', toolCallId: 'c3', toolName: 'clock', input: {} },
      { type: 'tool-output-available', toolCallId: 'c3', output: 12 },
    ]);
    expect(fold.openParts()).toEqual({
      text: ['t2'],
      reasoning: ['r1'],
      toolCalls: [
        {
          toolCallId: 'c1',
          toolName: 'search',
          state: 'input-streaming',
          input: { q: 'li' },
          rawInput: '{"q": "li',
        },
        { toolCallId: 'c2', toolName: 'clock', state: 'input-available', input: { zone: 'UTC' } },
      ],
    });
    expect(fold.stepOpen).toBe(true);
  });

  it('[EVT-4] is empty without text and without a call; reasoning counts for neither', () => {
    const thought: UIMessageChunk[] = [
      START,
      { type: 'reasoning-start', id: 'r' },
      { type: 'reasoning-delta', id: 'r', delta: 'hm' },
      { type: 'text-start', id: 't' },
      { type: 'text-delta', id: 't', delta: '' },
    ];
    expect([foldOf(thought).hasText(), foldOf(thought).isEmpty()]).toEqual([false, true]);
    const spoken = foldOf([...thought, { type: 'text-delta', id: 't', delta: 'Yes.' }]);
    expect([spoken.hasText(), spoken.isEmpty()]).toEqual([true, false]);
    const called = foldOf([...thought, { type: 'tool-input-start', toolCallId: 'c', toolName: 'clock' }]);
    expect([called.hasText(), called.isEmpty()]).toEqual([false, false]);
  });

  it('takes a delta in constant time, of text and of tool input alike', () => {
    const fold = foldOf([
      START,
      { type: 'text-start', id: 't' },
      { type: 'tool-input-start', toolCallId: 'c', toolName: 'write' },
      { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '{"text": "' },
    ]);
    for (let count = 0; count < 200_000; count += 1) {
      fold.apply({ type: 'text-delta', id: 't', delta: 'word ' });
      fold.apply({ type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: 'word ' });
    }
    const written = 'word '.repeat(200_000);
    expect(fold.message.parts).toMatchObject([{ text: written }, { input: { text: written } }]);
  }, 5_000);
});

describe('closingChunks', () => {
  const close = (chunks: readonly UIMessageChunk[]): UIMessageChunk[] =>
    closingChunks(foldOf(chunks), { reason: 'cancelled' });

  it('[EVT-3] leaves nothing open and nothing empty, wherever the answer was cut, and the AI SDK agrees', async () => {
    await fc.assert(
      fc.asyncProperty(cutAnswer, async (chunks) => {
        const all = [...chunks, ...close(chunks)];
        const closed = foldOf(all);
        expect(closed.openParts()).toEqual({ text: [], reasoning: [], toolCalls: [] });
        expect([closed.stepOpen, closed.isEmpty()]).toEqual([false, false]);
        expect(close(all)).toEqual([]);
        expect(JSON.stringify(closed.message)).not.toMatch(/"state":"(streaming|input-\w+)"/);
        expect(asJson(foldOf([...all, END]).message)).toEqual(await foldByAiSdk([...all, END]));
      }),
      { numRuns: 300 },
    );
  });

  it('keeps what was written, and gives every call its one result', () => {
    expect(
      close([
        START,
        { type: 'start-step' },
        { type: 'text-start', id: 't' },
        { type: 'text-delta', id: 't', delta: 'Let me' },
        { type: 'tool-input-start', toolCallId: 'c1', toolName: 'search' },
        { type: 'tool-input-delta', toolCallId: 'c1', inputTextDelta: '{"q": "Lis' },
        { type: 'tool-input-available', toolCallId: 'c2', toolName: 'clock', input: {} },
      ]),
    ).toEqual([
      { type: 'text-end', id: 't' },
      {
        type: 'tool-input-error',
        toolCallId: 'c1',
        toolName: 'search',
        input: { q: 'Lis' },
        errorText: 'The turn ended before the call was complete (cancelled).',
      },
      {
        type: 'tool-output-error',
        toolCallId: 'c2',
        errorText: 'The turn ended before the tool answered (cancelled).',
      },
      { type: 'finish-step' },
    ]);
  });

  it.each([
    ['', {}],
    ['{"q": [1', { q: [1] }],
    ['not json', 'not json'],
  ])('gives a call whose input was %j so far the input %j', (inputTextDelta, input) => {
    const chunks = close([
      { type: 'tool-input-start', toolCallId: 'c', toolName: 'search' },
      { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta },
    ]);
    expect(chunks).toMatchObject([{ type: 'tool-input-error', input }]);
  });

  it('puts the placeholder where there is neither text nor a call', () => {
    const placeholder = [
      { type: 'text-start', id: 'placeholder' },
      { type: 'text-delta', id: 'placeholder', delta: PLACEHOLDER_TEXT },
      { type: 'text-end', id: 'placeholder' },
    ];
    expect(close([START])).toEqual(placeholder);
    expect(close([START, { type: 'start-step' }, { type: 'reasoning-start', id: 'r' }])).toEqual([
      { type: 'reasoning-end', id: 'r' },
      ...placeholder,
      { type: 'finish-step' },
    ]);
  });
});
