import { createHash, randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { Config } from '../config.js';
import type { SendResult, TurnState, WhenBusy } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';
import type { Outcome, SendCommand } from '../sessions/session.command.js';
import { sessionHash } from '../sessions/session.hash.js';
import { SessionStore } from '../sessions/session.store.js';
import type { Ending } from '../sessions/session.js';
import { TurnLease } from '../sessions/turn.lease.js';
import { TurnWorkers } from './turn.workers.js';

/** How long to wait for the owner of a turn before it is asked again, times the attempts that were made. */
const STOP_RETRY_MS = 250;
/** A dead owner is known to be dead by then, and a living one has been asked. */
const STOP_ATTEMPTS = 20;

export interface SendRequest {
  sessionId: string;
  messageId: string;
  text: string;
  whenBusy?: WhenBusy;
}

export interface RetryRequest {
  sessionId: string;
  retryId: string;
  messageId?: string;
  text?: string;
}

/**
 * Takes messages and lets an agent answer them. A request is acknowledged when it is stored; the turn runs
 * outside of the receive path, whether anybody is connected or not.
 */
@Injectable()
export class AgentLoopService {
  readonly #logger = new Logger(AgentLoopService.name);
  closedSessions = 0;
  /** Turns that were refused since the tokens of a day were used up. */
  spentRefusals = 0;
  #draining = false;

  constructor(
    private readonly store: SessionStore,
    private readonly lease: TurnLease,
    private readonly workers: TurnWorkers,
    private readonly config: Config,
  ) {}

  get draining(): boolean {
    return this.#draining;
  }

  /**
   * Stores a user message and queues its turn; repeating it is safe.
   * @param traceparent of the connection that asks: what the turn does is traced below it
   */
  async send(request: SendRequest, traceparent?: string): Promise<SendResult> {
    const { sessionId, messageId, text, whenBusy = 'enqueue' } = request;
    const outcome = await this.store.accept(sessionId, {
      kind: 'send',
      messageId,
      text,
      digest: digest([text]),
      whenBusy,
      ...this.#admission(),
    });
    return this.#answer(sessionId, outcome, traceparent);
  }

  /** Answers a user message anew; all that came after it is withdrawn. */
  async retry(request: RetryRequest, traceparent?: string): Promise<SendResult> {
    const { sessionId, retryId, messageId, text } = request;
    const outcome = await this.store.accept(sessionId, {
      kind: 'retry',
      retryId,
      messageId,
      text,
      digest: digest([messageId ?? null, text ?? null]),
      ...this.#admission(),
    });
    return this.#answer(sessionId, outcome, traceparent);
  }

  /** Ends the given turn, or the present one. What the user saw of its answer is kept. */
  async cancel(sessionId: string, turnId?: string): Promise<{ turnId: string; cancelled: boolean }> {
    // A turn that is just beginning is the running one to whoever stops it right after having sent it.
    if (turnId === undefined) await this.workers.begun(sessionId);
    let outcome = await this.store.accept(sessionId, { kind: 'cancel', turnId });
    if (outcome.kind === 'running') {
      const ending = await this.lease.stop(sessionId, outcome.turnId, { state: 'cancelled' });
      if (ending) return { turnId: outcome.turnId, cancelled: ending.state === 'cancelled' };
      // It ended between the two steps.
      outcome = await this.store.accept(sessionId, { kind: 'cancel', turnId: outcome.turnId });
    }
    switch (outcome.kind) {
      case 'ended':
        return { turnId: outcome.turnId, cancelled: outcome.state === 'cancelled' };
      case 'running':
        return { turnId: outcome.turnId, cancelled: false };
      case 'gone':
        throw RequestError.sessionNotFound();
      default:
        throw new RequestError('turn_not_found', 'There is no such turn.');
    }
  }

  /** Ends the session for everyone, and its open turns before. */
  async close(sessionId: string): Promise<void> {
    const outcome = await this.store.accept(sessionId, { kind: 'close', state: 'closed' });
    if (outcome.kind === 'gone') throw RequestError.sessionNotFound();
    if (outcome.kind === 'closing') {
      await this.#stop(sessionId, outcome.turnId, { state: 'interrupted', reason: 'closed' });
      await this.workers.idle(sessionId);
    }
    this.closedSessions += 1;
    this.#logger.log({ session: sessionHash(sessionId), msg: 'session closed' });
  }

  /** What is stored already wants this turn to end: its owner is asked until it answers, or somebody else has its place. */
  async #stop(sessionId: string, turnId: string, ending: Ending): Promise<void> {
    for (let attempt = 1; attempt <= STOP_ATTEMPTS; attempt += 1) {
      try {
        return void (await this.lease.stop(sessionId, turnId, ending));
      } catch (error) {
        this.#logger.warn(`turn ${turnId} was not ended yet: ${String(error)}`);
        await new Promise((resolve) => setTimeout(resolve, STOP_RETRY_MS * attempt).unref());
      }
    }
  }

  /** From here on no turn begins: waiting ones stay stored for whoever comes next. */
  stopAdmitting(): void {
    this.#draining = true;
    this.workers.stopBeginning();
  }

  /** Waits for running turns; those that are not done in time end as `draining`, with all their text. */
  async drain(timeoutMs: number): Promise<void> {
    this.stopAdmitting();
    await this.workers.drain(timeoutMs);
  }

  #admission(): Pick<SendCommand, 'turnId' | 'admit' | 'tokensPerDay'> {
    const { maxTokensPerDay: tokensPerDay } = this.config;
    return { turnId: randomUUID(), admit: !this.#draining, tokensPerDay };
  }

  #answer(sessionId: string, outcome: Outcome, traceparent: string | undefined): SendResult {
    switch (outcome.kind) {
      case 'accepted':
        if (outcome.interrupts !== undefined) {
          void this.#stop(sessionId, outcome.interrupts, { state: 'interrupted', reason: 'message' });
        }
        this.workers.wake(sessionId, outcome.turnId, traceparent);
        this.#logger.debug({
          session: sessionHash(sessionId),
          turn: outcome.turnId,
          state: outcome.state,
          msg: 'turn accepted',
        });
        return result(outcome, false);
      case 'duplicate':
        return result(outcome, true);
      case 'conflict':
        throw new RequestError('message_conflict', 'This id was used before, with another content.');
      case 'busy':
        throw new RequestError('session_busy', 'A turn is running or waiting in this session.');
      case 'queue_full':
        throw new RequestError('queue_full', 'Too many messages wait in this session.');
      case 'draining':
        throw new RequestError('draining', 'This node takes no new turns: connect again.');
      case 'spent':
        this.spentRefusals += 1;
        throw new RequestError('rate_limited', 'The tokens of this day are used up.', {
          retryAfterMs: outcome.retryAfterMs,
        });
      case 'unknown_message':
        throw RequestError.invalid('messageId', 'no user message of this session has this id');
      case 'gone':
        throw RequestError.sessionNotFound();
      default:
        throw new Error(`unexpected outcome: ${outcome.kind}`);
    }
  }
}

function result(
  { messageId, turnId, state }: { messageId: string; turnId: string; state: TurnState },
  duplicate: boolean,
): SendResult {
  return { messageId, turnId, state, duplicate };
}

function digest(content: (string | null)[]): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('base64url');
}
