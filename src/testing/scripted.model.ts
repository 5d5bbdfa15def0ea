import { ModelProvider, type ModelPart, type ModelRequest } from '../agents/model.provider.js';
import { Channel } from './channel.js';

/** One call of the model that waits for the test to say what is answered. */
export class ModelCall {
  readonly #parts = new Channel<ModelPart | Error>();
  /** Its turn was stopped, or interrupted. */
  aborted = false;

  /** @param request what the model is asked, the persona first */
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

  /** The vendor accepts the request. What comes after it is not tried again. */
  begin(): this {
    this.#parts.push({ type: 'begin' });
    return this;
  }

  /** Pieces of text, as tokens come. */
  text(...deltas: string[]): this {
    for (const text of deltas) this.#parts.push({ type: 'text', text });
    return this;
  }

  /** A piece of any kind: a thought, a call of a tool. */
  part(part: ModelPart): this {
    this.#parts.push(part);
    return this;
  }

  /** The vendor fails; a `ModelError` names how. */
  fail(error: Error): void {
    this.#parts.push(error);
  }

  /** The end; `tool-calls` where the answer goes on after its tools were run, in another call. */
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

/** What a test has its model do with each call, at once or later: `(call) => call.answer('Hi.')`. */
export type Answering = (call: ModelCall) => void;

/** The model of a test: each call is handed to the test, which answers it when it wants to. */
export class ScriptedModel extends ModelProvider {
  readonly description = 'the model of a test';
  override readonly system = { provider: 'scripted', model: 'test' };
  /** All there were, in order. */
  readonly calls: ModelCall[] = [];
  readonly #waiting = new Channel<ModelCall>('a call of the model');

  /** @param autoAnswer answers every call, none of which waits for {@link nextCall} then */
  constructor(public autoAnswer?: Answering) {
    super();
  }

  stream(request: ModelRequest, signal: AbortSignal, onPart: (part: ModelPart) => void): Promise<void> {
    const call = new ModelCall(structuredClone(request), signal);
    this.calls.push(call);
    if (this.autoAnswer) this.autoAnswer(call);
    else this.#waiting.push(call);
    return call.stream(onPart);
  }

  /** The next call of the model, as soon as it comes. @throws Error none comes within 20 s */
  nextCall(): Promise<ModelCall> {
    return this.#waiting.next();
  }
}
