import { ModelProvider, type ModelPart, type ModelRequest } from '../../src/agents/model.provider.js';
import { Channel } from './channel.js';

/** One call of the model that waits for the test to say what is answered. */
export class ModelCall {
  readonly #parts = new Channel<ModelPart | Error>();
  aborted = false;

  constructor(
    readonly request: ModelRequest,
    readonly signal: AbortSignal,
  ) {
    signal.addEventListener('abort', () => (this.aborted = true));
  }

  /** The text of the message that is to be answered. */
  get asked(): string {
    const last = this.request.prompt.findLast(({ role }) => role === 'user');
    return typeof last?.content === 'string' ? last.content : '';
  }

  begin(): this {
    this.#parts.push({ type: 'begin' });
    return this;
  }

  text(...deltas: string[]): this {
    for (const text of deltas) this.#parts.push({ type: 'text', text });
    return this;
  }

  part(part: ModelPart): this {
    this.#parts.push(part);
    return this;
  }

  fail(error: Error): void {
    this.#parts.push(error);
  }

  finish(reason: Extract<ModelPart, { type: 'finish' }>['reason'] = 'stop'): void {
    this.#parts.push({ type: 'finish', reason, usage: { inputTokens: 10, outputTokens: 5 } });
  }

  /** Answers in one go. */
  answer(text: string): void {
    this.begin().text(text).finish();
  }

  async stream(onPart: (part: ModelPart) => void): Promise<void> {
    for (;;) {
      const part = await this.#parts.next();
      if (part instanceof Error) throw part;
      onPart(part);
      if (part.type === 'finish') return;
    }
  }
}

/** The model of a test: each call is handed to the test, which answers it when it wants to. */
export class ScriptedModel extends ModelProvider {
  readonly description = 'the model of a test';
  readonly calls: ModelCall[] = [];
  readonly #waiting = new Channel<ModelCall>();
  /** Answers every call by itself, where a test does not care. */
  autoAnswer?: (call: ModelCall) => void;

  stream(request: ModelRequest, signal: AbortSignal, onPart: (part: ModelPart) => void): Promise<void> {
    const call = new ModelCall(structuredClone(request), signal);
    this.calls.push(call);
    if (this.autoAnswer) this.autoAnswer(call);
    else this.#waiting.push(call);
    return call.stream(onPart);
  }

  /** The next call of the model, as soon as it comes. */
  nextCall(): Promise<ModelCall> {
    return this.#waiting.next();
  }
}
