import { isRecord } from './json.js';
import {
  PLACEHOLDER_TEXT,
  type MessageMetadata,
  type ReasoningPart,
  type TextPart,
  type ToolPart,
  type UIMessage,
  type UIMessageChunk,
} from '../protocol.js';
import { parsePartialJson } from './partial-json.js';

/** What of an answer is still open: it was begun and not ended, or called and not answered. */
export interface OpenParts {
  /** Ids, in the order in which they were begun. */
  text: string[];
  reasoning: string[];
  toolCalls: OpenToolCall[];
}

export interface OpenToolCall {
  toolCallId: string;
  toolName: string;
  state: 'input-streaming' | 'input-available';
  /** While it streams: what its JSON says so far, or undefined. */
  input: unknown;
  /** While it streams: the text so far. */
  rawInput?: string;
}

interface StreamedInput {
  toolName: string;
  text: string;
}

/**
 * Folds the chunks of one answer into its message, exactly as the AI SDK's `readUIMessageStream` does.
 * A chunk of an unknown type, or one of a part that was never begun, changes nothing.
 * A delta costs amortised constant time; the JSON of a streamed tool input is parsed only when it is read.
 */
export class AnswerFold {
  #message: UIMessage = emptyAnswer('');
  readonly #texts = new Map<string, TextPart>();
  readonly #reasonings = new Map<string, ReasoningPart>();
  /** The latest part of each call. */
  readonly #tools = new Map<string, { part: ToolPart; step: number }>();
  readonly #inputs = new Map<string, StreamedInput>();
  /** Parts whose `input` lags behind their `rawInput`. */
  readonly #unparsed = new Set<ToolPart>();
  #step = 0;
  #stepOpen = false;
  #hasText = false;

  /** The answer so far. The object goes on changing with later chunks; its id is '' until `start`. */
  get message(): UIMessage {
    for (const part of this.#unparsed) part.input = parsePartialJson(part.rawInput as string);
    this.#unparsed.clear();
    return this.#message;
  }

  /** Whether `start-step` came without its `finish-step`. */
  get stepOpen(): boolean {
    return this.#stepOpen;
  }

  /** Whether it has any characters of text; reasoning is none. */
  hasText(): boolean {
    return this.#hasText;
  }

  /** Neither text nor a tool call: such an answer must not be stored as it is. */
  isEmpty(): boolean {
    return !this.#hasText && this.#tools.size === 0;
  }

  /** The id by which later chunks name a part of text or reasoning; undefined: it was ended. */
  idOf(part: TextPart | ReasoningPart): string | undefined {
    const open: ReadonlyMap<string, TextPart | ReasoningPart> =
      part.type === 'text' ? this.#texts : this.#reasonings;
    for (const [id, each] of open) if (each === part) return id;
    return undefined;
  }

  openParts(): OpenParts {
    const toolCalls: OpenToolCall[] = [];
    for (const { part } of this.#tools.values()) {
      const { toolCallId, state } = part;
      const toolName = part.type.slice('tool-'.length);
      if (state === 'input-available') toolCalls.push({ toolCallId, toolName, state, input: part.input });
      if (state !== 'input-streaming') continue;
      const rawInput = this.#inputs.get(toolCallId)?.text ?? '';
      toolCalls.push({ toolCallId, toolName, state, input: parsePartialJson(rawInput), rawInput });
    }
    return { text: [...this.#texts.keys()], reasoning: [...this.#reasonings.keys()], toolCalls };
  }

  apply(chunk: UIMessageChunk): void {
    const { parts } = this.#message;
    switch (chunk.type) {
      case 'start':
        // Another id is another answer. Clients start anew there, and so does this.
        if (chunk.messageId !== this.#message.id) this.#reset(chunk.messageId);
        this.#mergeMetadata(chunk.messageMetadata);
        break;
      case 'message-metadata':
        this.#mergeMetadata(chunk.messageMetadata);
        break;
      case 'start-step':
        parts.push({ type: 'step-start' });
        this.#step += 1;
        this.#stepOpen = true;
        break;
      case 'finish-step':
        this.#stepOpen = false;
        break;
      case 'text-start': {
        const part: TextPart = { type: 'text', text: '', state: 'streaming' };
        this.#texts.set(chunk.id, part);
        parts.push(part);
        break;
      }
      case 'text-delta': {
        const part = this.#texts.get(chunk.id);
        if (!part) break;
        part.text += chunk.delta;
        this.#hasText ||= chunk.delta !== '';
        break;
      }
      case 'text-end':
        endPart(this.#texts, chunk.id);
        break;
      case 'reasoning-start': {
        const part: ReasoningPart = { type: 'reasoning', id: chunk.id, text: '', state: 'streaming' };
        this.#reasonings.set(chunk.id, part);
        parts.push(part);
        break;
      }
      case 'reasoning-delta': {
        const part = this.#reasonings.get(chunk.id);
        if (part) part.text += chunk.delta;
        break;
      }
      case 'reasoning-end':
        endPart(this.#reasonings, chunk.id);
        break;
      case 'tool-input-start':
        this.#inputs.set(chunk.toolCallId, { toolName: chunk.toolName, text: '' });
        this.#putCall(chunk.toolCallId, chunk.toolName, { state: 'input-streaming' });
        break;
      case 'tool-input-delta': {
        const input = this.#inputs.get(chunk.toolCallId);
        if (!input) break;
        input.text += chunk.inputTextDelta;
        const values: ToolValues = { state: 'input-streaming', rawInput: input.text };
        this.#unparsed.add(this.#putCall(chunk.toolCallId, input.toolName, values));
        break;
      }
      case 'tool-input-available':
        this.#putCall(chunk.toolCallId, chunk.toolName, { state: 'input-available', input: chunk.input });
        break;
      case 'tool-input-error': {
        const { input, errorText } = chunk;
        this.#putCall(chunk.toolCallId, chunk.toolName, { state: 'output-error', input, errorText });
        break;
      }
      case 'tool-output-available':
        this.#settle(chunk.toolCallId, { state: 'output-available', output: chunk.output });
        break;
      case 'tool-output-error':
        this.#settle(chunk.toolCallId, { state: 'output-error', errorText: chunk.errorText });
        break;
      default:
        // `finish`, `abort` and `error` tell of the turn, and later versions may send other types.
        break;
    }
  }

  /** A call belongs to its step: the same id in a later step is another call. */
  #putCall(toolCallId: string, toolName: string, values: ToolValues): ToolPart {
    const known = this.#tools.get(toolCallId);
    if (known?.step === this.#step) {
      known.part.type = `tool-${toolName}`;
      setValues(known.part, values);
      this.#unparsed.delete(known.part);
      return known.part;
    }
    const part: ToolPart = { type: `tool-${toolName}`, toolCallId, ...values };
    this.#message.parts.push(part);
    this.#tools.set(toolCallId, { part, step: this.#step });
    return part;
  }

  /** A result goes to the latest call of its id, which keeps its input. */
  #settle(toolCallId: string, values: ToolValues): void {
    const part = this.#tools.get(toolCallId)?.part;
    if (!part) return;
    if (this.#unparsed.delete(part)) part.input = parsePartialJson(part.rawInput as string);
    const rawInput = values.state === 'output-error' ? part.rawInput : undefined;
    setValues(part, { ...values, input: part.input, rawInput });
  }

  #mergeMetadata(metadata: MessageMetadata | undefined): void {
    if (metadata) this.#message.metadata = merged(this.#message.metadata ?? {}, metadata);
  }

  #reset(messageId: string): void {
    this.#message = emptyAnswer(messageId);
    for (const index of [this.#texts, this.#reasonings, this.#tools, this.#inputs, this.#unparsed])
      index.clear();
    this.#step = 0;
    this.#stepOpen = false;
    this.#hasText = false;
  }
}

/**
 * The chunks that close an answer which ends now, to be sent before its `message-metadata` and last chunk:
 * every open part is ended, every call gets an error for its one result, an empty answer the placeholder.
 * The fold itself is left as it is: apply them to it.
 * @param ending `reason`: why it ends, a word or two for the error of a call that was cut off
 */
export function closingChunks(fold: AnswerFold, { reason }: { reason: string }): UIMessageChunk[] {
  const open = fold.openParts();
  const chunks: UIMessageChunk[] = [
    ...open.reasoning.map((id) => ({ type: 'reasoning-end', id }) as const),
    ...open.text.map((id) => ({ type: 'text-end', id }) as const),
    ...open.toolCalls.map((call) => closingCall(call, reason)),
  ];
  if (fold.isEmpty()) {
    const id = 'placeholder';
    chunks.push(
      { type: 'text-start', id },
      { type: 'text-delta', id, delta: PLACEHOLDER_TEXT },
      { type: 'text-end', id },
    );
  }
  if (fold.stepOpen) chunks.push({ type: 'finish-step' });
  return chunks;
}

function closingCall(call: OpenToolCall, reason: string): UIMessageChunk {
  const { toolCallId, toolName, state } = call;
  if (state === 'input-available') {
    const errorText = `The turn ended before the tool answered (${reason}).`;
    return { type: 'tool-output-error', toolCallId, errorText };
  }
  const rawInput = call.rawInput ?? '';
  // Models call a tool without parameters with an empty text.
  const input = call.input ?? (rawInput.trim() === '' ? {} : rawInput);
  const errorText = `The turn ended before the call was complete (${reason}).`;
  return { type: 'tool-input-error', toolCallId, toolName, input, errorText };
}

/** What a chunk says of a call. All that it does not say is forgotten. */
type ToolValues = Pick<ToolPart, 'state' | 'input' | 'rawInput' | 'output' | 'errorText'>;

function setValues(part: ToolPart, { state, input, rawInput, output, errorText }: ToolValues): void {
  Object.assign(part, { state, input, rawInput, output, errorText });
}

function endPart(open: Map<string, TextPart | ReasoningPart>, id: string): void {
  const part = open.get(id);
  if (part) part.state = 'done';
  open.delete(id);
}

function emptyAnswer(id: string): UIMessage {
  return { id, role: 'assistant', parts: [] };
}

/** Objects are merged at every depth, all else is replaced, and undefined replaces nothing; inputs stay as they are. */
function merged(base: object, overrides: object): Record<string, unknown> {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(overrides) as [string, unknown][]) {
    if (value === undefined) continue;
    const before = Object.hasOwn(result, key) ? result[key] : undefined;
    result[key] = isRecord(before) && isRecord(value) ? merged(before, value) : value;
  }
  return result;
}
