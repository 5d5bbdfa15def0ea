import type { UIMessageChunk, Usage } from '../protocol.js';
import { AnswerFold } from '../sessions/message.fold.js';
import type { SessionEmitter } from '../streaming/session.emitter.js';

/**
 * The answer that a turn is writing: opens and closes the parts of the stream, keeps the message that they
 * fold to, and adds up what it cost.
 */
export class Answer {
  readonly fold = new AnswerFold();
  /** By `performance.now()`. */
  firstContentAt?: number;
  #open?: { type: 'text' | 'reasoning'; id: string };
  #parts = 0;
  #usage?: Usage;

  constructor(private readonly emitter: SessionEmitter) {}

  emit(chunk: UIMessageChunk): void {
    this.fold.apply(chunk);
    this.emitter.emit(chunk);
  }

  write(type: 'text' | 'reasoning', delta: string): void {
    if (delta === '') return;
    this.firstContentAt ??= performance.now();
    if (this.#open?.type !== type) {
      this.closePart();
      this.#parts += 1;
      this.#open = { type, id: `${type}-${this.#parts}` };
      this.emit({ type: `${type}-start`, id: this.#open.id });
    }
    this.emit({ type: `${type}-delta`, id: this.#open.id, delta });
  }

  closePart(): void {
    if (!this.#open) return;
    const { type, id } = this.#open;
    this.#open = undefined;
    this.emit({ type: `${type}-end`, id });
  }

  /** Tokens of one model step; steps add up, and one estimate makes the sum an estimate. */
  spend(step: Usage): void {
    const { inputTokens, outputTokens, estimated } = this.#usage ?? {
      inputTokens: 0,
      outputTokens: 0,
      estimated: false,
    };
    this.#usage = {
      inputTokens: inputTokens + step.inputTokens,
      outputTokens: outputTokens + step.outputTokens,
      estimated: estimated || step.estimated,
    };
  }

  /** Undefined where no model's answer began. */
  usage(): Usage | undefined {
    return this.#usage;
  }
}
