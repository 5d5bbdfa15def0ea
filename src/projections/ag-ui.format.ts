import type { ToolPart, UIMessage, UIMessageChunk } from '../protocol.js';
import type { TurnEnding } from '../sessions/turn.reader.js';
import type { EventFormat } from './sse.sink.js';
import type { AcceptedTurn } from './turn.sink.js';

/** Of AG-UI (docs.ag-ui.com/concepts/events), as far as a turn needs it. */
type AgUiEvent = { type: string; [field: string]: unknown };

interface AgUiMessage {
  id: string;
  role: 'user' | 'assistant' | 'tool';
  content?: string;
  toolCalls?: { id: string; type: 'function'; function: { name: string; arguments: string } }[];
  toolCallId?: string;
}

/**
 * One turn as the events of one AG-UI run. Each text, reasoning and tool result of an answer is a message there, whose
 * id is made of the answer's.
 */
export class AgUiFormat implements EventFormat {
  #answer = '';
  #messages = 0;
  #steps = 0;
  /** The message id of each open part, by the part's. */
  readonly #open = new Map<string, string>();
  /** Calls whose arguments are being told. */
  readonly #calls = new Set<string>();

  constructor(private readonly run: { threadId: string; runId: string }) {}

  begin({ duplicate, messages }: AcceptedTurn): AgUiEvent[] {
    const started = { type: 'RUN_STARTED', ...this.run };
    // Who asks again may hold a part of the answer, which is about to be told from its start.
    return duplicate
      ? [started, { type: 'MESSAGES_SNAPSHOT', messages: messages.flatMap(agUiMessages) }]
      : [started];
  }

  chunk(chunk: UIMessageChunk): AgUiEvent[] {
    switch (chunk.type) {
      case 'start':
        this.#answer = chunk.messageId;
        return [];
      case 'start-step':
        this.#steps += 1;
        return [{ type: 'STEP_STARTED', stepName: this.#step }];
      case 'finish-step':
        return [{ type: 'STEP_FINISHED', stepName: this.#step }];
      case 'text-start':
        return [{ type: 'TEXT_MESSAGE_START', messageId: this.#begin(chunk.id), role: 'assistant' }];
      case 'text-delta':
        return this.#delta('TEXT_MESSAGE_CONTENT', chunk);
      case 'text-end':
        return [{ type: 'TEXT_MESSAGE_END', messageId: this.#end(chunk.id) }];
      case 'reasoning-start': {
        const messageId = this.#begin(chunk.id);
        return [
          { type: 'REASONING_START', messageId },
          { type: 'REASONING_MESSAGE_START', messageId, role: 'reasoning' },
        ];
      }
      case 'reasoning-delta':
        return this.#delta('REASONING_MESSAGE_CONTENT', chunk);
      case 'reasoning-end': {
        const messageId = this.#end(chunk.id);
        return [
          { type: 'REASONING_MESSAGE_END', messageId },
          { type: 'REASONING_END', messageId },
        ];
      }
      case 'tool-input-start':
        return this.#call(chunk.toolCallId, chunk.toolName);
      case 'tool-input-delta':
        if (chunk.inputTextDelta === '') return [];
        return [{ type: 'TOOL_CALL_ARGS', toolCallId: chunk.toolCallId, delta: chunk.inputTextDelta }];
      case 'tool-input-available':
        return this.#called(chunk);
      case 'tool-input-error':
        return [...this.#called(chunk), this.#result(chunk.toolCallId, { error: chunk.errorText })];
      case 'tool-output-available':
        return [this.#result(chunk.toolCallId, chunk.output)];
      case 'tool-output-error':
        return [this.#result(chunk.toolCallId, { error: chunk.errorText })];
      default:
        // Metadata, the last chunk, which `end` stands for, and what later versions send.
        return [];
    }
  }

  end({ state, error, reason }: TurnEnding): AgUiEvent[] {
    if (state === 'failed')
      return [
        { type: 'RUN_ERROR', message: error?.message ?? 'The turn failed.', code: error?.code ?? 'internal' },
      ];
    const result = { state, ...(reason && { reason }) };
    return [{ type: 'RUN_FINISHED', ...this.run, result }];
  }

  get #step(): string {
    return `step-${this.#steps}`;
  }

  #delta(type: string, { id, delta }: { id: string; delta: string }): AgUiEvent[] {
    // AG-UI has no empty pieces.
    return delta === '' ? [] : [{ type, messageId: this.#open.get(id), delta }];
  }

  /** The first message of an answer has its id. */
  #begin(part: string): string {
    const messageId = this.#nextId();
    this.#open.set(part, messageId);
    return messageId;
  }

  #end(part: string): string | undefined {
    const messageId = this.#open.get(part);
    this.#open.delete(part);
    return messageId;
  }

  #nextId(): string {
    this.#messages += 1;
    return this.#messages === 1 ? this.#answer : `${this.#answer}-${this.#messages}`;
  }

  #call(toolCallId: string, toolCallName: string): AgUiEvent[] {
    this.#calls.add(toolCallId);
    return [{ type: 'TOOL_CALL_START', toolCallId, toolCallName }];
  }

  /** Whole arguments, where none were streamed before. */
  #called({
    toolCallId,
    toolName,
    input,
  }: {
    toolCallId: string;
    toolName: string;
    input: unknown;
  }): AgUiEvent[] {
    const wasStreamed = this.#calls.delete(toolCallId);
    const end = { type: 'TOOL_CALL_END', toolCallId };
    if (wasStreamed) return [end];
    return [
      { type: 'TOOL_CALL_START', toolCallId, toolCallName: toolName },
      { type: 'TOOL_CALL_ARGS', toolCallId, delta: JSON.stringify(input ?? {}) },
      end,
    ];
  }

  #result(toolCallId: string, content: unknown): AgUiEvent {
    return {
      type: 'TOOL_CALL_RESULT',
      messageId: this.#nextId(),
      toolCallId,
      role: 'tool',
      content: textOf(content),
    };
  }
}

/** A stored message as AG-UI has it: one for its text and calls, and one for each result. */
function agUiMessages({ id, role, parts }: UIMessage): AgUiMessage[] {
  const content = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  if (role === 'user') return [{ id, role, content }];
  const calls = parts.filter((part): part is ToolPart => part.type.startsWith('tool-'));
  const toolCalls = calls.map(({ toolCallId, type, input }) => ({
    id: toolCallId,
    type: 'function' as const,
    function: { name: type.slice('tool-'.length), arguments: JSON.stringify(input ?? {}) },
  }));
  const results = calls.map(({ toolCallId, output, errorText }, index): AgUiMessage => ({
    id: `${id}-result-${index + 1}`,
    role: 'tool',
    toolCallId,
    content: errorText === undefined ? textOf(output) : textOf({ error: errorText }),
  }));
  return [{ id, role, content, ...(toolCalls.length > 0 && { toolCalls }) }, ...results];
}

function textOf(content: unknown): string {
  return typeof content === 'string' ? content : JSON.stringify(content ?? null);
}
