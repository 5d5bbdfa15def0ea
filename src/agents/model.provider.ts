import type { FinishReason, TurnErrorCode } from '../protocol.js';

/** One message of a prompt, in no vendor's format. */
export type PromptMessage =
  | { role: 'system'; content: string }
  | { role: 'user'; content: string }
  | { role: 'assistant'; content: AssistantContent[] }
  | { role: 'tool'; content: ToolResult[] };

export type AssistantContent =
  | { type: 'text'; text: string }
  | { type: 'tool-call'; toolCallId: string; toolName: string; input: unknown };

export interface ToolResult {
  toolCallId: string;
  toolName: string;
  /** A JSON value, or the text of the error. */
  output: unknown;
  isError: boolean;
}

export interface ToolSpec {
  name: string;
  description: string;
  /** JSON Schema of the input, an object. */
  inputSchema: Record<string, unknown>;
}

export interface ModelRequest {
  /** The agent's model, which overrides the configured one. */
  model?: string;
  temperature?: number;
  /** The persona first, the message to answer or a tool's results last. */
  prompt: PromptMessage[];
  tools: ToolSpec[];
}

/** A piece of a model's answer. */
export type ModelPart =
  /** The vendor accepted the request (a 2xx): from here on it costs tokens. */
  | { type: 'begin' }
  | { type: 'text'; text: string }
  | { type: 'reasoning'; text: string }
  | { type: 'tool-input-start'; toolCallId: string; toolName: string }
  | { type: 'tool-input-delta'; toolCallId: string; text: string }
  /** `input` is the JSON text as the model wrote it, valid or not. */
  | { type: 'tool-call'; toolCallId: string; toolName: string; input: string }
  /** Always the last part; `usage` is absent where the vendor did not say. */
  | { type: 'finish'; reason: FinishReason; usage?: { inputTokens: number; outputTokens: number } };

export interface ModelSystem {
  /** By the names of OpenTelemetry's `gen_ai.provider.name`, or one of our own. */
  provider: string;
  /** Asked where a request names none. */
  model?: string;
  /** Of the vendor's endpoint. */
  address?: string;
  port?: number;
}

/**
 * Where answers come from. Parts are pushed, not pulled: a vendor's tokens come one by one on hundreds of
 * connections, and each wait for the next of them would cost more than reading it. Nothing is lost by it,
 * since nobody downstream may slow a model down.
 */
export abstract class ModelProvider {
  /** What answers, for metrics and traces. */
  readonly system: ModelSystem = { provider: 'custom' };

  /** What answers, for the log at start: a vendor's URL without credentials, or the scripted model. */
  abstract readonly description: string;

  /**
   * Makes one attempt at one model step; resolves after the `finish` part was handed on. An answer that was
   * cut before it is an error, never a silent end.
   * @param signal aborts the vendor's request at once
   * @param onPart called with each part as it comes, not any more once the signal is aborted
   * @throws ModelError, or the signal's reason
   */
  abstract stream(
    request: ModelRequest,
    signal: AbortSignal,
    onPart: (part: ModelPart) => void,
  ): Promise<void>;
}

/** Why a model step could not be done, in the contract's words. Messages hold no credentials. */
export class ModelError extends Error {
  constructor(
    readonly code: TurnErrorCode,
    message: string,
    readonly options: {
      /** Whether the same turn may succeed later (`TurnError.retryable`). */
      retryable?: boolean;
      /** Whether the same attempt may be repeated at once: 429, 5xx, connection errors. */
      repeatable?: boolean;
      /** The vendor's Retry-After, milliseconds. */
      retryAfterMs?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'ModelError';
  }
}
