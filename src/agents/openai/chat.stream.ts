import { randomUUID } from 'node:crypto';
import { createParser, type EventSourceParser } from 'eventsource-parser';
import type { FinishReason } from '../../protocol.js';
import { isRecord, parsed } from '../../sessions/json.js';
import { wellFormed } from '../../sessions/plain-json.js';
import { ModelError, type ModelPart } from '../model.provider.js';
import { ContentTemplate } from './content.template.js';
import { toStreamError, truncated } from './vendor.error.js';

/** Characters of one event; a vendor that sends more without an end would fill the memory. */
const LONGEST_EVENT = 4 * 1024 * 1024;

type TextType = 'text' | 'reasoning';

/** A tool call while its pieces come. Some vendors name it only after its first piece. */
interface OpenCall {
  toolCallId: string;
  toolName?: string;
  input: string;
}

/**
 * Reads the server-sent events of a streamed chat completion: bytes in, parts out. Nothing is passed on piece
 * by piece: what one read of the socket brought is taken together, with neighbouring deltas in one, since a
 * vendor at full speed brings hundreds of them at once.
 *
 * Written for OpenAI's format and for what its imitators make of it: reasoning under two names, content as a
 * list, calls without index or id, names that come late, usage before or after the end, no `[DONE]`.
 */
export class ChatStream {
  /** True once nothing more is wanted: `[DONE]`, or all was read. The last part then is a `finish`. */
  done = false;
  readonly #parser: EventSourceParser;
  readonly #decoder = new TextDecoder();
  readonly #template = new ContentTemplate();
  /** The parser holds nothing of an event that has begun. */
  #betweenEvents = false;
  readonly #calls = new Map<number | string, OpenCall>();
  #parts: ModelPart[] = [];
  /** The first half of a surrogate pair whose other half is to come with the next delta. */
  #held = '';
  #textType: TextType = 'text';
  #refused = false;
  #finishReason?: string;
  #usage?: { inputTokens: number; outputTokens: number };

  /**
   * @param takenCallIds tool calls of the prompt; a call of the same id gets another one
   * @param apiKey cut from what the vendor says of errors
   */
  constructor(
    private readonly takenCallIds: Set<string>,
    private readonly apiKey: string | undefined,
  ) {
    this.#parser = createParser({
      onEvent: ({ data }) => this.#onEvent(data),
      onError: (error) => {
        // Fields that no event stream has are to be ignored, says its specification.
        if (error.type === 'max-buffer-size-exceeded') throw unreadable();
      },
      maxBufferSize: LONGEST_EVENT,
    });
  }

  /** @throws ModelError; what came before it is still to be taken */
  write(bytes: Uint8Array): void {
    if (this.done) return;
    const text = this.#decoder.decode(bytes, { stream: true });
    const taken = this.#betweenEvents ? this.#template.take(text, this.#onPlainText) : 0;
    if (taken === text.length) return;
    const rest = text.slice(taken);
    this.#parser.feed(rest);
    this.#betweenEvents = rest.endsWith('\n\n');
  }

  /**
   * The response is at its end.
   * @throws ModelError where the answer is not
   */
  end(): void {
    if (!this.done) this.#finish();
  }

  /** What has come since it was last asked. */
  take(): ModelPart[] {
    const parts = this.#parts;
    if (parts.length === 0) return parts;
    this.#parts = [];
    for (const part of parts) if ('text' in part) part.text = wellFormed(part.text);
    return parts;
  }

  #onEvent(data: string): void {
    if (this.done) return;
    if (data === '[DONE]') return this.#finish();
    const chunk = parsed(data);
    if (!isRecord(chunk)) throw unreadable();
    if (chunk.error !== undefined && chunk.error !== null) throw toStreamError(chunk.error, this.apiKey);
    if (isRecord(chunk.usage)) this.#usage = toUsage(chunk.usage);
    const choice: unknown = Array.isArray(chunk.choices) ? chunk.choices[0] : undefined;
    if (!isRecord(choice)) return;
    if (isRecord(choice.delta)) this.#onDelta(choice.delta);
    const only = onlyContent(chunk, choice);
    if (only !== undefined) this.#template.learn(data, only);
    // Some vendors send an empty reason with every chunk.
    if (typeof choice.finish_reason === 'string' && choice.finish_reason !== '') {
      this.#finishReason = choice.finish_reason;
    }
  }

  #onDelta(delta: Record<string, unknown>): void {
    this.#onText('reasoning', delta.reasoning_content ?? delta.reasoning);
    this.#onContent(delta.content);
    // What a model says instead of an answer is shown like one.
    if (typeof delta.refusal === 'string' && delta.refusal !== '') {
      this.#refused = true;
      this.#onText('text', delta.refusal);
    }
    if (!Array.isArray(delta.tool_calls)) return;
    for (const piece of delta.tool_calls as unknown[]) {
      if (isRecord(piece)) this.#onCall(piece);
    }
  }

  /** A text, or a list of texts and thoughts as Mistral has it. */
  #onContent(content: unknown): void {
    if (!Array.isArray(content)) return this.#onText('text', content);
    for (const item of content as unknown[]) {
      if (!isRecord(item)) continue;
      if (item.type === 'text') this.#onText('text', item.text);
      if (item.type !== 'thinking' || !Array.isArray(item.thinking)) continue;
      for (const thought of item.thinking as unknown[]) {
        if (isRecord(thought)) this.#onText('reasoning', thought.text);
      }
    }
  }

  readonly #onPlainText = (content: string): void => this.#onText('text', content);

  #onText(type: TextType, delta: unknown): void {
    if (typeof delta !== 'string' || delta === '') return;
    if (type !== this.#textType) this.#releaseHeld();
    this.#textType = type;
    const text = this.#held + delta;
    this.#held = isHighSurrogate(text.charCodeAt(text.length - 1)) ? text.slice(-1) : '';
    this.#addText(type, this.#held === '' ? text : text.slice(0, -1));
  }

  #releaseHeld(): void {
    const held = this.#held;
    this.#held = '';
    this.#addText(this.#textType, held);
  }

  #addText(type: TextType, text: string): void {
    if (text === '') return;
    const last = this.#parts.at(-1);
    if (last?.type === type) last.text += text;
    else this.#parts.push({ type, text });
  }

  #onCall(piece: Record<string, unknown>): void {
    const { name, arguments: input } = isRecord(piece.function) ? piece.function : {};
    const id = typeof piece.id === 'string' && piece.id !== '' ? piece.id : undefined;
    // Without an index (as Gemini sends them) each id is a call, and a piece without id goes on with the last.
    const key = typeof piece.index === 'number' ? piece.index : (id ?? [...this.#calls.keys()].at(-1) ?? 0);
    let call = this.#calls.get(key);
    if (!call) {
      this.#releaseHeld();
      call = { toolCallId: this.#freeCallId(id), input: '' };
      this.#calls.set(key, call);
    }
    const { toolCallId } = call;
    const isNamed = call.toolName !== undefined;
    if (!isNamed && typeof name === 'string' && name !== '') {
      call.toolName = wellFormed(name);
      this.#parts.push({ type: 'tool-input-start', toolCallId, toolName: call.toolName });
      this.#addInput(toolCallId, call.input);
    }
    if (typeof input !== 'string' || input === '') return;
    call.input += input;
    if (call.toolName !== undefined) this.#addInput(toolCallId, input);
  }

  #addInput(toolCallId: string, text: string): void {
    if (text === '') return;
    const last = this.#parts.at(-1);
    if (last?.type === 'tool-input-delta' && last.toolCallId === toolCallId) last.text += text;
    else this.#parts.push({ type: 'tool-input-delta', toolCallId, text });
  }

  /** Some vendors count their calls from 0 in each answer, or name none. */
  #freeCallId(id: string | undefined): string {
    const cleaned = id === undefined ? undefined : wellFormed(id);
    const isFree = cleaned !== undefined && !this.takenCallIds.has(cleaned);
    const free = isFree ? cleaned : `call_${randomUUID()}`;
    this.takenCallIds.add(free);
    return free;
  }

  #finish(): void {
    this.#releaseHeld();
    if (this.#finishReason === undefined) throw truncated();
    // Calls count only now: those of an answer that was cut are never made.
    for (const { toolCallId, toolName, input } of this.#calls.values()) {
      if (toolName === undefined) throw unreadable();
      this.#parts.push({ type: 'tool-call', toolCallId, toolName, input: wellFormed(input) });
    }
    const usage = this.#usage;
    this.#parts.push({ type: 'finish', reason: this.#reason(), ...(usage && { usage }) });
    this.done = true;
  }

  #reason(): FinishReason {
    switch (this.#finishReason) {
      case 'stop':
        return this.#refused ? 'content-filter' : 'stop';
      case 'length':
        return 'length';
      case 'content_filter':
        return 'content-filter';
      case 'tool_calls':
      case 'function_call':
        return 'tool-calls';
      default:
        return 'other';
    }
  }
}

/** The text of a chunk that says nothing else. */
function onlyContent(chunk: Record<string, unknown>, choice: Record<string, unknown>): string | undefined {
  if (chunk.usage || choice.finish_reason || !isRecord(choice.delta)) return undefined;
  const { content, role: _role, ...rest } = choice.delta;
  return typeof content === 'string' && Object.values(rest).every((value) => value === null)
    ? content
    : undefined;
}

/** A prompt of no tokens does not exist: vendors that count nothing say 0, or leave fields out. */
function toUsage({ prompt_tokens: input, completion_tokens: output }: Record<string, unknown>) {
  if (!isCount(input) || !isCount(output) || input === 0) return undefined;
  return { inputTokens: input, outputTokens: output };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function unreadable(): ModelError {
  const message = "The model's vendor sent something that cannot be read.";
  return new ModelError('provider_error', message, { retryable: true });
}
