import { setTimeout } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Config } from '../config.js';
import type { FinishReason, MessagePart, UIMessage, Usage } from '../protocol.js';
import type { AnswerFold } from '../sessions/message.fold.js';
import type { PinnedAgent } from '../sessions/pinned-agent.js';
import { plainCopy } from '../sessions/plain-json.js';
import type { Ending } from '../sessions/session.js';
import { SessionStore, StoreUnavailable } from '../sessions/session.store.js';
import { TurnLease } from '../sessions/turn.lease.js';
import type { ActiveTurn } from './active.turn.js';
import type { Answer } from './answer.js';
import { callModel } from './model.call.js';
import {
  ModelError,
  ModelProvider,
  type ModelPart,
  type PromptMessage,
  type ToolSpec,
} from './model.provider.js';
import { ToolRegistry } from './tool.registry.js';
import type { TurnWatches } from './turn.observer.js';
import { buildPrompt, estimatePromptTokens, estimateTokens } from './transcript.js';

/** JSON of a stored message takes more bytes than its text: read enough for the budget, and not much more. */
const READ_BYTES_PER_TOKEN = 8;
/** How long until a store is asked again that did not answer. */
const STORE_RETRY_MS = 250;

interface ToolCall {
  toolCallId: string;
  toolName: string;
  /** JSON text as the model wrote it. */
  input: string;
}

/** What one call of the model came to. */
interface StepResult {
  reason: FinishReason;
  calls: ToolCall[];
}

/** The agent's loop of a turn: call the model, call the tools that it asks for, until it is done. */
@Injectable()
export class ModelSteps {
  constructor(
    private readonly store: SessionStore,
    private readonly lease: TurnLease,
    private readonly model: ModelProvider,
    private readonly tools: ToolRegistry,
    private readonly config: Config,
  ) {}

  /**
   * @param remainingMs what is left of the turn's time
   * @throws ModelError; or the abort signal's reason as soon as the turn's end is decided
   */
  async run(
    active: ActiveTurn,
    agent: PinnedAgent,
    answer: Answer,
    remainingMs: () => number,
    watch: TurnWatches,
  ): Promise<Ending> {
    const history = await this.#historyOf(active);
    const specs = this.tools.specs(agent.tools);
    for (let step = 1; step <= this.config.maxSteps; step += 1) {
      const messages = step === 1 ? history : [...history, answer.fold.message];
      const prompt = this.#prompt(agent, messages, specs);
      active.signal.throwIfAborted();
      answer.emit({ type: 'start-step' });
      const { reason, calls } = await this.#callModel(
        active,
        agent,
        prompt,
        specs,
        answer,
        remainingMs,
        watch,
      );
      const goesOn = calls.length > 0 && reason !== 'length' && reason !== 'content-filter';
      if (goesOn && step < this.config.maxSteps) {
        await Promise.all(calls.map((call) => this.#callTool(active, agent, call, answer, watch)));
        active.signal.throwIfAborted();
      }
      if (goesOn && step === this.config.maxSteps) break;
      if (!goesOn) return { state: 'completed', finishReason: reason };
      answer.emit({ type: 'finish-step' });
    }
    throw new ModelError(
      'tool_limit',
      `The agent asked for tools in more than ${this.config.maxSteps} steps.`,
    );
  }

  /** What an answer cost that was cut by the death of its process; undefined where none had begun. */
  async estimateUsage(sessionId: string, agent: PinnedAgent, fold: AnswerFold): Promise<Usage | undefined> {
    const written = writtenText(fold.message.parts);
    if (written === '') return undefined;
    const inputTokens = await this.#estimatePrompt(sessionId, agent);
    return { inputTokens, outputTokens: estimateTokens(written), estimated: true };
  }

  /** At most the budget, which may have been larger when the prompt was sent. */
  async #estimatePrompt(sessionId: string, agent: PinnedAgent): Promise<number> {
    const specs = this.tools.specs(agent.tools);
    try {
      return estimatePromptTokens(this.#prompt(agent, await this.#history(sessionId), specs), specs);
    } catch (error) {
      if (error instanceof ModelError) return this.config.contextTokens;
      throw error;
    }
  }

  async #callModel(
    active: ActiveTurn,
    agent: PinnedAgent,
    prompt: PromptMessage[],
    specs: ToolSpec[],
    answer: Answer,
    remainingMs: () => number,
    watch: TurnWatches,
  ): Promise<StepResult> {
    const request = { model: agent.model, temperature: agent.temperature, prompt, tools: specs };
    const result: StepResult = { reason: 'other', calls: [] };
    const partsBefore = answer.fold.message.parts.length;
    let began = false;
    let usage: Usage | undefined;
    const limits = {
      firstByteTimeoutMs: this.config.modelFirstByteTimeoutMs,
      idleTimeoutMs: this.config.modelIdleTimeoutMs,
      remainingMs,
    };
    const onPart = (part: ModelPart): void => {
      began = true;
      switch (part.type) {
        case 'begin':
          break;
        case 'text':
        case 'reasoning':
          answer.write(part.type, part.text);
          break;
        case 'tool-input-start':
          answer.firstContentAt ??= performance.now();
          answer.closePart();
          answer.emit({ type: part.type, toolCallId: part.toolCallId, toolName: part.toolName });
          break;
        case 'tool-input-delta':
          answer.emit({ type: part.type, toolCallId: part.toolCallId, inputTextDelta: part.text });
          break;
        case 'tool-call':
          answer.closePart();
          this.#announce(part, answer);
          result.calls.push(part);
          break;
        case 'finish':
          answer.closePart();
          result.reason = part.reason;
          if (part.usage) usage = { ...part.usage, estimated: false };
      }
    };
    try {
      // Once the turn's end is decided, the signal is aborted, and nothing more is shown.
      await callModel(this.model, request, active.signal, limits, onPart, watch.attempt);
      return result;
    } finally {
      if (began) {
        answer.spend(
          usage ?? {
            inputTokens: estimatePromptTokens(prompt, specs),
            outputTokens: estimateTokens(writtenText(answer.fold.message.parts.slice(partsBefore))),
            estimated: true,
          },
        );
      }
    }
  }

  /** A call with its input; one whose input is no JSON is answered with an error in the same breath. */
  #announce({ toolCallId, toolName, input }: ToolCall, answer: Answer): void {
    const parsed = parse(input);
    if (parsed.ok) {
      answer.emit({ type: 'tool-input-available', toolCallId, toolName, input: parsed.value });
    } else {
      const errorText = 'The input of the tool call is not JSON that can be used.';
      answer.emit({ type: 'tool-input-error', toolCallId, toolName, input, errorText });
    }
  }

  /** Runs a call at most once; whatever goes wrong is told to the model. */
  async #callTool(
    active: ActiveTurn,
    agent: PinnedAgent,
    call: ToolCall,
    answer: Answer,
    watch: TurnWatches,
  ): Promise<void> {
    const { toolCallId, toolName, input } = call;
    if (!parse(input).ok) return;
    const { sessionId, turn, fence, signal } = active;
    // What a tool does cannot be taken back: a process that stood still may have lost the turn without noticing.
    if (!(await this.lease.confirm(sessionId, fence, signal))) return active.depose();
    // What a model makes up is no name to count by.
    const ended = watch.tool({ name: this.tools.has(toolName) ? toolName : '_OTHER', toolCallId });
    const outcome = await this.tools.call({
      name: toolName,
      input,
      allowed: agent.tools,
      context: { sessionId, turnId: turn.turnId, toolCallId, signal },
      timeoutMs: this.config.toolTimeoutMs,
    });
    ended('error' in outcome);
    // An ended turn closes its open calls itself.
    if (signal.aborted) return;
    if ('error' in outcome) answer.emit({ type: 'tool-output-error', toolCallId, errorText: outcome.error });
    else answer.emit({ type: 'tool-output-available', toolCallId, output: outcome.output });
  }

  /** Waits while the store is out of reach: the turn has begun, and nothing of it is lost yet. */
  async #historyOf({ sessionId, signal }: ActiveTurn): Promise<UIMessage[]> {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await this.#history(sessionId);
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        await setTimeout(STORE_RETRY_MS);
      }
    }
  }

  async #history(sessionId: string): Promise<UIMessage[]> {
    const page = await this.store.messages(sessionId, {
      limit: Number.MAX_SAFE_INTEGER,
      maxBytes: this.config.contextTokens * READ_BYTES_PER_TOKEN,
      begun: true,
    });
    return page?.messages ?? [];
  }

  #prompt(agent: PinnedAgent, messages: UIMessage[], specs: ToolSpec[]): PromptMessage[] {
    return buildPrompt({
      persona: agent.persona,
      messages,
      budgetTokens: this.config.contextTokens,
      toolsTokens: estimateTokens(JSON.stringify(specs)),
    }).prompt;
  }
}

function parse(json: string): { ok: true; value: unknown } | { ok: false } {
  if (json.trim() === '') return { ok: true, value: {} };
  try {
    return plainCopy(JSON.parse(json));
  } catch {
    return { ok: false };
  }
}

/** What the model wrote, the inputs of its tool calls among it. */
function writtenText(parts: readonly MessagePart[]): string {
  return parts.map(writtenOf).join('');
}

function writtenOf(part: MessagePart): string {
  if (part.type === 'text' || part.type === 'reasoning') return part.text;
  return part.type === 'step-start' ? '' : JSON.stringify(part.input ?? part.toolCallId);
}
