import { readUIMessageStream, type UIMessageChunk as AiSdkChunk } from 'ai';
import fc from 'fast-check';
import type { UIMessage, UIMessageChunk } from '../../src/protocol.js';
import { AnswerFold } from '../../src/sessions/message.fold.js';

/** How every answer begins. */
export const START: UIMessageChunk = {
  type: 'start',
  messageId: 'm1',
  messageMetadata: { turnId: 't1', agent: 'alice', createdAt: '2026-11-22T10:00:00.000Z' },
};
/** What tells how one ended. */
export const END: UIMessageChunk = { type: 'message-metadata', messageMetadata: { status: 'completed' } };

export function foldOf(chunks: readonly UIMessageChunk[]): AnswerFold {
  const fold = new AnswerFold();
  for (const chunk of chunks) fold.apply(chunk);
  return fold;
}

export const asJson = (message: unknown): UIMessage => JSON.parse(JSON.stringify(message)) as UIMessage;

/** The last message that the AI SDK yields for these chunks. */
export async function foldByAiSdk(chunks: readonly UIMessageChunk[]): Promise<UIMessage> {
  const stream = new ReadableStream<AiSdkChunk>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  let last: unknown;
  for await (const message of readUIMessageStream({ stream })) last = message;
  return asJson(last);
}

// ---- Answers as models write them ----------------------------------------------------------------------

const words = fc.array(fc.string({ maxLength: 5 }), { maxLength: 4 });

const textPart = fc.tuple(fc.constantFrom('text' as const, 'reasoning' as const), words);
/** Without what the AI SDK misreads in unfinished JSON: exponents with a plus sign, escapes in keys. */
const input = fc
  .dictionary(fc.constantFrom('city', 'unit', 'n'), fc.jsonValue({ maxDepth: 1 }))
  .filter((value) => !/e\+|__proto__|constructor|prototype|\\.*:/s.test(JSON.stringify(value)));
/** Ids repeat from step to step, as some vendors' do. */
const call = fc.record({
  callId: fc.constantFrom('call-0', 'call-1'),
  toolName: fc.constantFrom('clock', 'search'),
  input,
  ending: fc.constantFrom('output', 'error', 'input-error'),
});
const step = fc.record({
  parts: fc.array(textPart, { maxLength: 4 }),
  calls: fc.array(call, { maxLength: 2 }),
});

/** Whole answers. */
export const wholeAnswer = fc
  .tuple(fc.array(step, { maxLength: 3 }), fc.nat(12))
  .map(([steps, grain]) => [START, ...steps.flatMap((each, index) => stepChunks(each, index, grain + 3))]);
/** What is there of one when a turn ends early. */
export const cutAnswer = wholeAnswer.chain((chunks) =>
  fc.integer({ min: 1, max: chunks.length }).map((length) => chunks.slice(0, length)),
);

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

function stepChunks({ parts, calls }: Step, stepIndex: number, grain: number): UIMessageChunk[] {
  const chunks: UIMessageChunk[] = [{ type: 'start-step' }];
  parts.forEach(([type, deltas], index) => {
    const id = `${stepIndex}-${index}`;
    chunks.push({ type: `${type}-start`, id });
    for (const delta of deltas) chunks.push({ type: `${type}-delta`, id, delta });
    chunks.push({ type: `${type}-end`, id });
  });
  const distinct = [...new Map(calls.map((each) => [each.callId, each])).values()];
  for (const { callId: toolCallId, toolName, input, ending } of distinct) {
    chunks.push({ type: 'tool-input-start', toolCallId, toolName });
    const json = JSON.stringify(input);
    for (let at = 0; at < json.length; at += grain) {
      chunks.push({ type: 'tool-input-delta', toolCallId, inputTextDelta: json.slice(at, at + grain) });
    }
    if (ending === 'input-error') {
      chunks.push({ type: 'tool-input-error', toolCallId, toolName, input: json, errorText: 'not JSON' });
      continue;
    }
    chunks.push({ type: 'tool-input-available', toolCallId, toolName, input });
  }
  for (const { callId: toolCallId, ending } of distinct) {
    if (ending === 'output')
      chunks.push({ type: 'tool-output-available', toolCallId, output: { at: stepIndex } });
    if (ending === 'error') chunks.push({ type: 'tool-output-error', toolCallId, errorText: 'no such city' });
  }
  chunks.push({ type: 'finish-step' });
  return chunks;
}
