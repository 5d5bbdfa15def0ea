import { Injectable } from '@nestjs/common';
import type { FinishReason, TerminalState, Usage } from '../protocol.js';

/** A turn that begins. Nothing of what observers are told holds content. */
export interface TurnStart {
  sessionId: string;
  turnId: string;
  agent: string;
  /** W3C trace context of the connection that asked for it. */
  traceparent?: string;
  /** From its acceptance to its begin; undefined where another process accepted it. */
  waitedMs?: number;
}

/** A turn that ended. */
export interface TurnReport {
  state: TerminalState;
  /** The reason of an interruption or the code of a failure, else the state. */
  cause: string;
  agent: string;
  /** Undefined where the process died that ran it. */
  durationMs?: number;
  /** From the turn's begin to the first content of the model. */
  firstTokenMs?: number;
  usage?: Usage;
}

/** One request to a model's vendor. */
export interface AttemptStart {
  /** By the names of OpenTelemetry's `gen_ai.provider.name`, or one of our own. */
  provider: string;
  model?: string;
  address?: string;
  port?: number;
  /** How many attempts of this step came before. */
  repeats: number;
}

export interface AttemptEnd {
  /** Why it failed: a `TurnErrorCode`, or `aborted` where the turn's end was decided meanwhile. */
  error?: string;
  reason?: FinishReason;
  /** What the vendor said, where it did. */
  usage?: { inputTokens: number; outputTokens: number };
}

export interface AttemptWatch {
  firstPart(): void;
  ended(end: AttemptEnd): void;
}

/** What is told of one turn, to whoever wants to know it. */
export interface TurnWatch {
  /** By which it is found where it is traced. */
  readonly traceId?: string;
  attempt?(start: AttemptStart): AttemptWatch;
  /** @param name of a tool that there is, else `_OTHER` @returns is called as the call ends */
  tool?(call: { name: string; toolCallId: string }): (failed: boolean) => void;
  /** @param report undefined: another owner took the turn, and reports its end */
  ended?(report: TurnReport | undefined): void;
}

export interface TurnObserver {
  begin(turn: TurnStart): TurnWatch;
}

/** Who watches turns: metrics, traces. With nobody there it costs nothing worth counting. */
@Injectable()
export class TurnObservers {
  readonly #observers: TurnObserver[] = [];

  add(observer: TurnObserver): void {
    this.#observers.push(observer);
  }

  begin(turn: TurnStart): Required<Omit<TurnWatch, 'traceId'>> & Pick<TurnWatch, 'traceId'> {
    const watches = this.#observers.map((observer) => observer.begin(turn));
    return {
      traceId: watches.find(({ traceId }) => traceId !== undefined)?.traceId,
      attempt: (start) => {
        const attempts = watches.flatMap((watch) => watch.attempt?.(start) ?? []);
        return {
          firstPart: () => attempts.forEach((attempt) => attempt.firstPart()),
          ended: (end) => attempts.forEach((attempt) => attempt.ended(end)),
        };
      },
      tool: (call) => {
        const ends = watches.flatMap((watch) => watch.tool?.(call) ?? []);
        return (failed) => ends.forEach((end) => end(failed));
      },
      ended: (report) => watches.forEach((watch) => watch.ended?.(report)),
    };
  }
}

/** All of them as one. */
export type TurnWatches = ReturnType<TurnObservers['begin']>;
