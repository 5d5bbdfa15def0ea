import type {
  MessagePart,
  ReasoningPart,
  TextPart,
  ToolPart,
  UIMessage,
  UIMessageChunk,
} from '../protocol.js';
import type { AnswerFold } from './message.fold.js';

/** An answer as far as it came, with what is needed to go on: the ids of its open parts. */
export type Answer = Pick<AnswerFold, 'message' | 'stepOpen' | 'idOf'>;

/** A stored answer, of which nothing is open any more. */
export function storedAnswer(message: UIMessage): Answer {
  return { message, stepOpen: false, idOf: () => undefined };
}

/**
 * What has to be streamed to someone who has `before` so that he has `after`: folding the chunks onto `before` gives
 * the message of `after`, and the chunks that follow `after` in its log can follow these.
 * @param before of a fold without chunks: the whole answer is streamed
 * @returns undefined where `after` does not go on from `before`: it is another answer, or history was lost
 */
export function chunksBetween(before: Answer, after: Answer): UIMessageChunk[] | undefined {
  const [had, has] = [before.message, after.message];
  if (had.id !== '' && had.id !== has.id) return undefined;
  if (had.parts.length > has.parts.length) return undefined;
  const chunks: UIMessageChunk[] = [];
  // What is told of it last stands: an answer without an id yet has no start either.
  if (had.id === '' && has.id !== '') {
    chunks.push({ type: 'start', messageId: has.id, ...(has.metadata && { messageMetadata: has.metadata }) });
  }
  let stepOpen = before.stepOpen;
  for (const [index, part] of has.parts.entries()) {
    const known = had.parts[index];
    if (part.type === 'step-start') {
      if (known) {
        if (known.type !== part.type) return undefined;
        continue;
      }
      if (stepOpen) chunks.push({ type: 'finish-step' });
      chunks.push({ type: 'start-step' });
      stepOpen = true;
      continue;
    }
    const rest = isTool(part)
      ? restOfCall(known, part)
      : restOfText(known, part, known && isText(known) ? before.idOf(known) : undefined, {
          id: after.idOf(part),
          index,
        });
    if (!rest) return undefined;
    chunks.push(...rest);
  }
  if (stepOpen && !after.stepOpen) chunks.push({ type: 'finish-step' });
  if (had.id !== '' && has.metadata && !isEqual(had.metadata, has.metadata)) {
    chunks.push({ type: 'message-metadata', messageMetadata: has.metadata });
  }
  return chunks;
}

function restOfText(
  known: MessagePart | undefined,
  part: TextPart | ReasoningPart,
  openId: string | undefined,
  target: { id: string | undefined; index: number },
): UIMessageChunk[] | undefined {
  const { type, text } = part;
  if (known && known.type !== type) return undefined;
  const had = known?.text ?? '';
  if (!text.startsWith(had)) return undefined;
  if (known && openId === undefined) return text === had ? [] : undefined;
  // One that is open goes by the id that its next chunks name; the id of one that is over is free.
  const id =
    openId ?? target.id ?? (part.type === 'reasoning' ? part.id : undefined) ?? `part-${target.index}`;
  const chunks: UIMessageChunk[] = [];
  if (!known) chunks.push({ type: `${type}-start`, id });
  if (text.length > had.length) chunks.push({ type: `${type}-delta`, id, delta: text.slice(had.length) });
  if (target.id === undefined) chunks.push({ type: `${type}-end`, id });
  return chunks;
}

function restOfCall(known: MessagePart | undefined, part: ToolPart): UIMessageChunk[] | undefined {
  if (known && (!isTool(known) || known.toolCallId !== part.toolCallId)) return undefined;
  if (known && isEqual(known, part)) return [];
  const { toolCallId, state, input, rawInput, output, errorText = '' } = part;
  const toolName = part.type.slice('tool-'.length);
  const told = known && isTool(known) ? known : undefined;
  const available: UIMessageChunk[] =
    told?.state === 'input-available' && isEqual(told.input, input)
      ? []
      : [{ type: 'tool-input-available', toolCallId, toolName, input }];
  switch (state) {
    case 'input-streaming':
      return streamedInput(told, part, toolName);
    case 'input-available':
      return available;
    case 'output-available':
      return [...available, { type: 'tool-output-available', toolCallId, output }];
    case 'output-error': {
      const failed: UIMessageChunk = { type: 'tool-output-error', toolCallId, errorText };
      // Its input was never whole: as it was streamed, it stays.
      if (rawInput !== undefined) {
        const streamed = streamedInput(told, part, toolName);
        return streamed && [...streamed, failed];
      }
      if (available.length === 0) return [failed];
      return [{ type: 'tool-input-error', toolCallId, toolName, input, errorText }];
    }
    default:
      // A later version's.
      return [];
  }
}

function streamedInput(
  told: ToolPart | undefined,
  { toolCallId, rawInput }: ToolPart,
  toolName: string,
): UIMessageChunk[] | undefined {
  if (told && told.state !== 'input-streaming') return undefined;
  const text = typeof rawInput === 'string' ? rawInput : '';
  const had = typeof told?.rawInput === 'string' ? told.rawInput : '';
  if (!text.startsWith(had)) return undefined;
  const chunks: UIMessageChunk[] = told ? [] : [{ type: 'tool-input-start', toolCallId, toolName }];
  if (text.length > had.length) {
    chunks.push({ type: 'tool-input-delta', toolCallId, inputTextDelta: text.slice(had.length) });
  }
  return chunks;
}

function isTool(part: MessagePart): part is ToolPart {
  return part.type.startsWith('tool-');
}

function isText(part: MessagePart): part is TextPart | ReasoningPart {
  return part.type === 'text' || part.type === 'reasoning';
}

/** Of JSON that was folded by the same code, so that keys stand in the same order. */
function isEqual(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
