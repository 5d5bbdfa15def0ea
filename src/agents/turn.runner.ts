import { randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Config } from '../config.js';
import type { MessageMetadata, TurnError, UIMessageChunk, Usage } from '../protocol.js';
import { AnswerFold, closingChunks } from '../sessions/message.fold.js';
import type { PinnedAgent } from '../sessions/pinned-agent.js';
import { sessionHash } from '../sessions/session.hash.js';
import type { Ending, RunningTurn } from '../sessions/session.js';
import { SessionStore } from '../sessions/session.store.js';
import type { NextTurn } from '../sessions/turn.lease.js';
import { StreamingService } from '../streaming/session.emitter.js';
import { TurnEnded, type ActiveTurn } from './active.turn.js';
import { Answer } from './answer.js';
import { ModelError, ModelProvider } from './model.provider.js';
import { ModelSteps } from './model.steps.js';
import { TurnObservers, type TurnReport, type TurnWatches } from './turn.observer.js';

/** How a turn came to be, where this process accepted it. */
export interface TurnOrigin {
  /** By `performance.now()`. */
  acceptedAt: number;
  traceparent?: string;
}

/**
 * Runs one turn from its begin to its one end. Whatever ends it (the model, a stop, a limit, a fault, a
 * crash) goes through the same finalisation: what was shown is kept, open parts are closed, an empty answer
 * is replaced, and the terminal event and the stored answer are written in one step.
 */
@Injectable()
export class TurnRunner {
  readonly #logger = new Logger(TurnRunner.name);

  constructor(
    private readonly store: SessionStore,
    private readonly streaming: StreamingService,
    private readonly steps: ModelSteps,
    private readonly model: ModelProvider,
    private readonly config: Config,
    private readonly clock: Clock,
    private readonly observers: TurnObservers,
  ) {}

  async run(active: ActiveTurn, agent: PinnedAgent, fence: number, origin?: TurnOrigin): Promise<void> {
    const { sessionId, turn } = active;
    const startedAt = performance.now();
    const watch = this.observers.begin({
      sessionId,
      turnId: turn.turnId,
      agent: agent.id,
      traceparent: origin?.traceparent,
      waitedMs: origin && startedAt - origin.acceptedAt,
    });
    const ids = idsOf(sessionId, turn, watch);
    this.#logger.debug({ ...ids, agent: agent.id, msg: 'turn began' });
    const emitter = this.streaming.open(sessionId, turn.turnId, fence, () => active.depose());
    const answer = new Answer(emitter);
    active.usage = () => answer.usage();
    const createdAt = this.clock.iso();
    answer.emit({
      type: 'start',
      messageId: randomUUID(),
      messageMetadata: { turnId: turn.turnId, agent: turn.agent, createdAt },
    });

    const timeoutMs = this.config.turnTimeoutMs;
    const timer = setTimeout(
      () => active.decide(failed('turn_timeout', 'The turn took too long.', true)),
      timeoutMs,
    );
    const remainingMs = (): number => timeoutMs - (performance.now() - startedAt);
    try {
      active.decide(await this.steps.run(active, agent, answer, remainingMs, watch));
    } catch (error) {
      if (!(error instanceof TurnEnded)) active.decide(this.#failure(ids, error));
    } finally {
      clearTimeout(timer);
    }
    // Another owner ends it, and reports that.
    if (active.deposed || !active.ending) return watch.ended(undefined);

    const usage = answer.usage();
    const closing = close(answer.fold, turn, active.ending, createdAt, usage);
    const ended = await emitter.end(closing, { ending: active.ending, answer: answer.fold.message, usage });
    if (!ended) return watch.ended(undefined);
    this.#report(ids, watch, active.ending, agent.id, {
      durationMs: performance.now() - startedAt,
      firstTokenMs: answer.firstContentAt === undefined ? undefined : answer.firstContentAt - startedAt,
      usage,
    });
  }

  /** Ends a turn whose process died, from what its log holds; false where the store does not take it. */
  async finaliseAbandoned(
    sessionId: string,
    { turn, agent, events }: Extract<NextTurn, { kind: 'abandoned' }>,
    fence: number,
  ): Promise<boolean> {
    const fold = new AnswerFold();
    let createdAt = this.clock.iso();
    for (const event of events) {
      if (event.type !== 'chunk' || event.turnId !== turn.turnId) continue;
      fold.apply(event.chunk);
      if (event.chunk.type === 'start') createdAt = event.chunk.messageMetadata?.createdAt ?? createdAt;
    }
    const emitter = this.streaming.open(sessionId, turn.turnId, fence, () => undefined);
    const opening: UIMessageChunk[] = [];
    if (fold.message.id === '') {
      const start: UIMessageChunk = { type: 'start', messageId: randomUUID() };
      fold.apply(start);
      opening.push(start);
    }
    const usage = await this.steps.estimateUsage(sessionId, agent, fold);
    const ending: Ending = { state: 'interrupted', reason: 'node_lost' };
    const closing = close(fold, turn, ending, createdAt, usage);
    const ended = await emitter.end([...opening, ...closing], { ending, answer: fold.message, usage });
    if (!ended) return false;
    const watch = this.observers.begin({ sessionId, turnId: turn.turnId, agent: turn.agent });
    this.#report(idsOf(sessionId, turn, watch), watch, ending, turn.agent, { usage });
    return true;
  }

  #failure(ids: LineIds, error: unknown): Ending {
    if (error instanceof ModelError) {
      const { code, message, options } = error;
      // A vendor's own words may quote what was said.
      this.#logger.warn({ ...ids, code, msg: `the model failed: ${this.model.description}: ${code}` });
      return failed(code, message, options.retryable ?? false);
    }
    const reference = randomUUID();
    this.#logger.error({ ...ids, err: error, reference, msg: 'turn failed' });
    return failed('internal', `The turn failed inside the gateway; reference ${reference}.`, true);
  }

  #report(
    ids: LineIds,
    watch: TurnWatches,
    ending: Ending,
    agent: string,
    figures: Pick<TurnReport, 'durationMs' | 'firstTokenMs' | 'usage'>,
  ): void {
    const report: TurnReport = { state: ending.state, cause: causeOf(ending), agent, ...figures };
    watch.ended(report);
    const { state, cause, durationMs, firstTokenMs, usage } = report;
    this.#logger.log({
      ...ids,
      agent,
      state,
      cause,
      durationMs: durationMs && Math.round(durationMs),
      firstTokenMs: firstTokenMs && Math.round(firstTokenMs),
      ...usage,
      msg: 'turn ended',
    });
  }
}

/** Of a log line about a turn. */
interface LineIds {
  session: string;
  turn: string;
  trace_id?: string;
}

function idsOf(sessionId: string, { turnId }: RunningTurn, { traceId }: TurnWatches): LineIds {
  return {
    session: sessionHash(sessionId),
    turn: turnId,
    ...(traceId !== undefined && { trace_id: traceId }),
  };
}

/** The chunks that end an answer; after them `fold.message` is what is stored. */
function close(
  fold: AnswerFold,
  turn: RunningTurn,
  ending: Ending,
  createdAt: string,
  usage: Usage | undefined,
): UIMessageChunk[] {
  const metadata: MessageMetadata = {
    turnId: turn.turnId,
    agent: turn.agent,
    status: ending.state,
    createdAt,
    ...(usage ? { usage } : {}),
  };
  const chunks: UIMessageChunk[] = [
    ...closingChunks(fold, { reason: causeOf(ending) }),
    { type: 'message-metadata', messageMetadata: metadata },
    lastChunk(ending),
  ];
  for (const chunk of chunks) fold.apply(chunk);
  return chunks;
}

function lastChunk(ending: Ending): UIMessageChunk {
  switch (ending.state) {
    case 'completed':
      return { type: 'finish', finishReason: ending.finishReason };
    case 'cancelled':
    case 'interrupted':
      return { type: 'abort', reason: causeOf(ending) };
    case 'failed':
      return { type: 'error', errorText: ending.error.message };
  }
}

function causeOf(ending: Ending): string {
  if (ending.state === 'interrupted') return ending.reason;
  return ending.state === 'failed' ? ending.error.code : ending.state;
}

function failed(code: TurnError['code'], message: string, retryable: boolean): Ending {
  return { state: 'failed', error: { code, message, retryable } };
}
