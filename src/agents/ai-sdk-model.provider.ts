import { createOpenAICompatible, type OpenAICompatibleProvider } from '@ai-sdk/openai-compatible';
import type {
  JSONValue,
  LanguageModelV4,
  LanguageModelV4FunctionTool,
  LanguageModelV4Message,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
} from '@ai-sdk/provider';
import {
  ModelProvider,
  type ModelPart,
  type ModelRequest,
  type PromptMessage,
  type ToolResult,
  type ToolSpec,
} from './model.provider.js';
import { toModelError, truncated } from './vendor.error.js';

export interface Vendor {
  /** Up to and including `/v1`. */
  baseUrl: string;
  apiKey?: string;
  /** Asked where the request names none. */
  model: string;
}

/** Any OpenAI-compatible endpoint (chat completions, streaming), through the AI SDK's provider. */
export class AiSdkModelProvider extends ModelProvider {
  readonly description: string;
  readonly #client: OpenAICompatibleProvider;
  /** By id. Making one compiles its schemas, and agents name only a few. */
  readonly #models = new Map<string, LanguageModelV4>();

  constructor(private readonly vendor: Vendor) {
    super();
    const { baseUrl, apiKey, model } = vendor;
    const { protocol, host, pathname } = new URL(baseUrl);
    this.description = `${model} at ${protocol}//${host}${pathname}`;
    this.#client = createOpenAICompatible({ name: 'vendor', baseURL: baseUrl, apiKey, includeUsage: true });
  }

  async *stream(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelPart, void, undefined> {
    try {
      const { stream } = await this.#model(request.model ?? this.vendor.model).doStream({
        prompt: request.prompt.map(toSdkMessage),
        tools: request.tools.length > 0 ? request.tools.map(toSdkTool) : undefined,
        temperature: request.temperature,
        abortSignal: signal,
      });
      yield { type: 'begin' };
      // Leaving the loop early cancels the stream, and with it the vendor's response.
      yield* toModelParts(stream);
    } catch (error) {
      signal.throwIfAborted();
      throw toModelError(error, this.vendor.apiKey);
    }
  }

  #model(id: string): LanguageModelV4 {
    const model = this.#models.get(id) ?? this.#client.chatModel(id);
    this.#models.set(id, model);
    return model;
  }
}

async function* toModelParts(stream: AsyncIterable<LanguageModelV4StreamPart>): AsyncGenerator<ModelPart> {
  const text = new WellFormed();
  // The SDK completes the calls of a stream that was cut, too: they count only once the finish has come.
  const calls: ModelPart[] = [];
  for await (const part of stream) {
    switch (part.type) {
      case 'text-delta':
      case 'reasoning-delta': {
        const delta = text.push(part.delta);
        if (delta !== '') yield { type: part.type === 'text-delta' ? 'text' : 'reasoning', text: delta };
        break;
      }
      case 'text-end':
      case 'reasoning-end': {
        const rest = text.flush();
        if (rest !== '') yield { type: part.type === 'text-end' ? 'text' : 'reasoning', text: rest };
        break;
      }
      case 'tool-input-start':
        yield { type: 'tool-input-start', toolCallId: part.id, toolName: part.toolName };
        break;
      case 'tool-input-delta':
        yield { type: 'tool-input-delta', toolCallId: part.id, text: part.delta };
        break;
      case 'tool-call':
        calls.push({
          type: part.type,
          toolCallId: part.toolCallId,
          toolName: part.toolName,
          input: part.input,
        });
        break;
      case 'error':
        throw part.error;
      case 'finish': {
        // Some vendors send an empty reason with every chunk.
        if (!part.finishReason.raw) throw truncated();
        yield* calls;
        const { unified } = part.finishReason;
        const usage = toUsage(part.usage);
        yield {
          type: 'finish',
          reason: unified === 'interrupted' ? 'other' : unified,
          ...(usage && { usage }),
        };
        return;
      }
      default:
        // Starts, ends and metadata say nothing that the other parts do not.
        break;
    }
  }
  throw truncated();
}

/** A prompt of no tokens does not exist: vendors that count nothing say 0, or leave fields out. */
function toUsage({ inputTokens, outputTokens, raw }: LanguageModelV4Usage) {
  const counted = inputTokens.total && typeof raw?.completion_tokens === 'number';
  return counted ? { inputTokens: inputTokens.total ?? 0, outputTokens: outputTokens.total ?? 0 } : undefined;
}

function toSdkMessage(message: PromptMessage): LanguageModelV4Message {
  switch (message.role) {
    case 'system':
    case 'assistant':
      return message;
    case 'user':
      return { role: 'user', content: [{ type: 'text', text: message.content }] };
    case 'tool':
      return { role: 'tool', content: message.content.map(toSdkResult) };
  }
}

function toSdkResult({ toolCallId, toolName, output, isError }: ToolResult) {
  // An empty text is refused by some vendors; as JSON it is two quotes.
  const isText = typeof output === 'string' && output !== '';
  const value = (output ?? null) as JSONValue;
  return {
    type: 'tool-result' as const,
    toolCallId,
    toolName,
    output: isText
      ? { type: isError ? ('error-text' as const) : ('text' as const), value: output }
      : { type: isError ? ('error-json' as const) : ('json' as const), value },
  };
}

function toSdkTool({ name, description, inputSchema }: ToolSpec): LanguageModelV4FunctionTool {
  return { type: 'function', name, description, inputSchema };
}

/** Keeps a surrogate pair together that came in two deltas; what stays single, and NUL, is U+FFFD. */
class WellFormed {
  #held = '';

  push(delta: string): string {
    const text = this.#held + delta;
    const isCut = /[\uD800-\uDBFF]$/.test(text);
    this.#held = isCut ? text.slice(-1) : '';
    return clean(isCut ? text.slice(0, -1) : text);
  }

  flush(): string {
    const rest = clean(this.#held);
    this.#held = '';
    return rest;
  }
}

function clean(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD');
}
