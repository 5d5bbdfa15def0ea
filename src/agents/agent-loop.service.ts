import { createHash, randomUUID } from 'node:crypto';
import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Config } from '../config.js';
import type { SendResult, TurnState, WhenBusy } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';
import { SessionBindings } from '../sessions/session.bindings.js';
import { SessionDamaged, SessionStore } from '../sessions/session.store.js';
import type { Outcome, SendCommand } from '../sessions/session.command.js';
import type { Ending } from '../sessions/session.js';
import { TurnLease } from '../sessions/turn.lease.js';
import { ActiveTurn } from './active.turn.js';
import { DetachPolicy } from './detach.policy.js';
import { TurnPlaces } from './turn.places.js';
import { TurnRunner } from './turn.runner.js';

/** How long to wait for the store before the next turn is asked for again. */
const STORE_RETRY_MS = 250;
const DRAINING: Ending = { state: 'interrupted', reason: 'draining' };

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

/** What works through one session's waiting turns, one at a time, until none is left. */
interface Worker {
  /** Something was accepted since it last looked. */
  again: boolean;
  /** Settles when the turn that is being begun is known. */
  beginning?: Promise<unknown>;
  turn?: ActiveTurn;
  /** Settles when it has stopped. */
  done: Promise<void>;
}

/**
 * Takes messages and lets an agent answer them. A request is acknowledged when it is stored; the turn runs
 * outside of the receive path, whether anybody is connected or not.
 */
@Injectable()
export class AgentLoopService implements OnApplicationBootstrap {
  readonly #logger = new Logger(AgentLoopService.name);
  readonly #workers = new Map<string, Worker>();
  readonly #places: TurnPlaces;
  /** Sessions whose turns were ended because nobody had watched them for too long. */
  orphansEnded = 0;
  #draining = false;
  #drainedOut = false;

  constructor(
    private readonly store: SessionStore,
    private readonly lease: TurnLease,
    private readonly bindings: SessionBindings,
    private readonly runner: TurnRunner,
    private readonly detachPolicy: DetachPolicy,
    private readonly config: Config,
  ) {
    this.#places = new TurnPlaces(config.maxTurns, config.maxTurnsPerOwner);
    lease.onStop((sessionId, turnId, ending) => this.#decide(sessionId, turnId, ending));
    bindings.onAttached((sessionId) => detachPolicy.forget(sessionId));
    bindings.onDetached((sessionId) => this.#watch(sessionId));
  }

  /** Turns that a process before this one left open: ended as `node_lost`, and those that wait are run. */
  async onApplicationBootstrap(): Promise<void> {
    const due = await this.lease.due();
    if (due.length > 0) this.#logger.log(`taking up ${due.length} sessions with open turns`);
    for (const sessionId of due) this.#start(sessionId);
  }

  get runningTurns(): number {
    let running = 0;
    for (const { turn } of this.#workers.values()) if (turn) running += 1;
    return running;
  }

  /** Sessions with a turn that runs or waits here, and no socket. */
  get orphans(): number {
    let orphans = 0;
    for (const sessionId of this.#workers.keys()) if (!this.bindings.isAttached(sessionId)) orphans += 1;
    return orphans;
  }

  /** The turn that runs here. */
  turnOf(sessionId: string): ActiveTurn | undefined {
    return this.#workers.get(sessionId)?.turn;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Stores a user message and queues its turn; repeating it is safe. */
  async send(request: SendRequest): Promise<SendResult> {
    const { sessionId, messageId, text, whenBusy = 'enqueue' } = request;
    const outcome = await this.store.accept(sessionId, {
      kind: 'send',
      messageId,
      text,
      digest: digest([text]),
      whenBusy,
      ...this.#admission(),
    });
    return this.#answer(sessionId, outcome);
  }

  /** Answers a user message anew; all that came after it is withdrawn. */
  async retry(request: RetryRequest): Promise<SendResult> {
    const { sessionId, retryId, messageId, text } = request;
    const outcome = await this.store.accept(sessionId, {
      kind: 'retry',
      retryId,
      messageId,
      text,
      digest: digest([messageId ?? null, text ?? null]),
      ...this.#admission(),
    });
    return this.#answer(sessionId, outcome);
  }

  /** Ends the given turn, or the present one. What the user saw of its answer is kept. */
  async cancel(sessionId: string, turnId?: string): Promise<{ turnId: string; cancelled: boolean }> {
    // A turn that is just beginning is the running one to whoever stops it right after having sent it.
    if (turnId === undefined) await this.#workers.get(sessionId)?.beginning;
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
    if (outcome.kind !== 'closing') return;
    await this.lease.stop(sessionId, outcome.turnId, { state: 'interrupted', reason: 'closed' });
    await this.#workers.get(sessionId)?.done;
  }

  /** From here on no turn begins: waiting ones stay stored for whoever comes next. */
  stopAdmitting(): void {
    this.#draining = true;
  }

  /** Waits for running turns; those that are not done in time end as `draining`, with all their text. */
  async drain(timeoutMs: number): Promise<void> {
    this.stopAdmitting();
    const timer = setTimeout(() => {
      this.#drainedOut = true;
      for (const { turn } of this.#workers.values()) turn?.decide(DRAINING);
    }, timeoutMs);
    await Promise.all([...this.#workers.values()].map(({ done }) => done));
    clearTimeout(timer);
  }

  #admission(): Pick<SendCommand, 'turnId' | 'admit' | 'tokensPerDay'> {
    const { maxTokensPerDay: tokensPerDay } = this.config;
    return { turnId: randomUUID(), admit: !this.#draining, tokensPerDay };
  }

  #answer(sessionId: string, outcome: Outcome): SendResult {
    switch (outcome.kind) {
      case 'accepted':
        if (outcome.interrupts !== undefined) {
          void this.lease.stop(sessionId, outcome.interrupts, { state: 'interrupted', reason: 'message' });
        }
        this.#start(sessionId);
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

  #start(sessionId: string): void {
    const present = this.#workers.get(sessionId);
    if (present) {
      present.again = true;
      return;
    }
    const worker: Worker = { again: false, done: Promise.resolve() };
    this.#workers.set(sessionId, worker);
    this.#watch(sessionId);
    worker.done = this.#work(sessionId, worker)
      .catch((error: unknown) => this.#logger.error({ err: error, msg: 'a worker failed' }))
      .finally(() => this.#retire(sessionId, worker));
  }

  async #work(sessionId: string, worker: Worker): Promise<void> {
    let fence: number | undefined;
    for (;;) {
      let leave = (): void => undefined;
      try {
        leave = await this.#places.acquire(await this.#subjectOf(sessionId));
        if (this.#draining) {
          if (fence !== undefined) await this.lease.release(sessionId, fence);
          return;
        }
        worker.again = false;
        fence ??= await this.lease.claim(sessionId);
        if (fence === undefined) return;
        const went = await this.#oneTurn(sessionId, worker, fence);
        if (went === 'stop') return;
        // Given back: what was accepted since then needs a claim of its own.
        if (went === 'idle') fence = undefined;
      } catch (error) {
        if (error instanceof SessionDamaged) {
          this.#logger.error({ err: error, msg: `turns of session ${sessionId} cannot be run` });
          if (fence !== undefined) await this.lease.release(sessionId, fence);
          return;
        }
        this.#logger.warn(`the next turn could not be begun: ${String(error)}`);
        await new Promise((resolve) => setTimeout(resolve, STORE_RETRY_MS));
      } finally {
        leave();
      }
    }
  }

  /** Only tokens name subjects. */
  async #subjectOf(sessionId: string): Promise<string | undefined> {
    if (this.config.auth.mode !== 'jwt') return undefined;
    const owner = (await this.store.open(sessionId))?.session.owner;
    return owner?.kind === 'subject' ? owner.sub : undefined;
  }

  async #oneTurn(sessionId: string, worker: Worker, fence: number): Promise<'again' | 'idle' | 'stop'> {
    const beginning = this.lease.next(sessionId, fence);
    worker.beginning = beginning.then(
      (next) => {
        if (next.kind === 'turn') worker.turn = new ActiveTurn(sessionId, next.turn);
        // It was being begun while the time of the drain passed.
        if (this.#drainedOut) worker.turn?.decide(DRAINING);
      },
      () => undefined,
    );
    try {
      const next = await beginning;
      await worker.beginning;
      switch (next.kind) {
        case 'turn':
          if (worker.turn) await this.runner.run(worker.turn, next.agent, fence);
          return 'again';
        case 'abandoned':
          if (await this.runner.finaliseAbandoned(sessionId, next, fence)) return 'again';
          throw new Error('an abandoned turn could not be ended');
        case 'idle':
          if (worker.again) return 'idle';
          // In the same tick as the look at `again`: a send that comes later starts a worker of its own.
          this.#retire(sessionId, worker);
          return 'stop';
        case 'deposed':
          return 'stop';
      }
    } finally {
      worker.beginning = undefined;
      worker.turn = undefined;
    }
  }

  #retire(sessionId: string, worker: Worker): void {
    if (this.#workers.get(sessionId) !== worker) return;
    this.#workers.delete(sessionId);
    this.detachPolicy.forget(sessionId);
  }

  async #decide(sessionId: string, turnId: string, ending: Ending): Promise<Ending | undefined> {
    const worker = this.#workers.get(sessionId);
    await worker?.beginning;
    return worker?.turn?.turn.turnId === turnId ? worker.turn.decide(ending) : undefined;
  }

  #watch(sessionId: string): void {
    if (!this.#workers.has(sessionId) || this.bindings.isAttached(sessionId)) return;
    this.detachPolicy.watch(sessionId, () => void this.#endOrphan(sessionId));
  }

  async #endOrphan(sessionId: string): Promise<void> {
    this.detachPolicy.forget(sessionId);
    if (this.bindings.isAttached(sessionId)) return;
    const reason = 'detached';
    try {
      await this.store.accept(sessionId, { kind: 'end-waiting', reason });
    } catch (error) {
      this.#logger.warn(`waiting turns of an orphaned session could not be ended: ${String(error)}`);
      // They may yet run unwatched: look again later.
      this.#watch(sessionId);
    }
    // Somebody may have come back meanwhile.
    if (this.bindings.isAttached(sessionId)) return;
    this.orphansEnded += 1;
    this.#workers.get(sessionId)?.turn?.decide({ state: 'interrupted', reason });
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
