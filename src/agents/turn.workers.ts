import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Config } from '../config.js';
import { LIMITS } from '../protocol.js';
import { PeriodicTask } from '../sessions/periodic.task.js';
import { SessionBindings } from '../sessions/session.bindings.js';
import { SessionFeed } from '../sessions/session.feed.js';
import { sessionHash } from '../sessions/session.hash.js';
import { SessionDamaged, SessionStore } from '../sessions/session.store.js';
import type { Ending } from '../sessions/session.js';
import { TurnLease, type NextTurn } from '../sessions/turn.lease.js';
import { ActiveTurn } from './active.turn.js';
import { DetachPolicy } from './detach.policy.js';
import { TurnPlaces } from './turn.places.js';
import { TurnRunner, type TurnOrigin } from './turn.runner.js';

/** How long to wait for the store before it is asked again. */
const STORE_RETRY_MS = 250;
/** For so long nobody looks again for the turns of a session that cannot be read. */
const DAMAGED_REST_MS = 5 * 60_000;
const DRAINING: Ending = { state: 'interrupted', reason: 'draining' };

/** What works through one session's waiting turns, one at a time, until none is left. */
interface Worker {
  /** Something was accepted since it last looked. */
  again: boolean;
  /** Of the lease that it holds. */
  fence?: number;
  /** Settles when the turn that is being begun is known. */
  beginning?: Promise<unknown>;
  turn?: ActiveTurn;
  /** By turn id, of those that were accepted here and have not begun. */
  origins: Map<string, TurnOrigin>;
  /** Settles when it has stopped. */
  done: Promise<void>;
}

/**
 * Runs what waits: a worker a session, which takes its turns one at a time, outside of the receive path, whether anybody
 * is connected or not. Also takes up what another process left, and ends what nobody has watched for too long.
 */
@Injectable()
export class TurnWorkers implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #logger = new Logger(TurnWorkers.name);
  readonly #workers = new Map<string, Worker>();
  /** Sessions that could not be read, and when that was; milliseconds of the monotonic clock. */
  readonly #damaged = new Map<string, number>();
  readonly #places: TurnPlaces;
  readonly #sweep = new PeriodicTask(() => this.#takeUp());
  /** Workers outlive the requests that start them: what they log is not those requests'. */
  readonly #outsideOfRequests = AsyncLocalStorage.snapshot();
  /** Sessions whose turns were ended since nobody had watched them for too long. */
  orphansEnded = 0;
  #stopping = false;
  #drainedOut = false;

  constructor(
    private readonly store: SessionStore,
    private readonly lease: TurnLease,
    private readonly bindings: SessionBindings,
    private readonly feed: SessionFeed,
    private readonly runner: TurnRunner,
    private readonly detachPolicy: DetachPolicy,
    private readonly config: Config,
    private readonly clock: Clock,
  ) {
    this.#places = new TurnPlaces(config.maxTurns, config.maxTurnsPerOwner);
    lease.onStop((sessionId, turnId, ending) => this.#decide(sessionId, turnId, ending));
    lease.onDeposed((sessionId, fence) => {
      const { turn } = this.#workers.get(sessionId) ?? {};
      if (turn?.fence === fence) turn.depose();
    });
    bindings.onAttached((sessionId) => detachPolicy.forget(sessionId));
    bindings.onDetached((sessionId) => this.#watch(sessionId));
  }

  /** Turns that another process, or one before this, left open: ended as `node_lost`, and those that wait are run. */
  async onApplicationBootstrap(): Promise<void> {
    const { sweepMs } = this.lease;
    if (sweepMs === undefined) return this.#takeUp();
    this.#sweep.start(sweepMs);
  }

  onModuleDestroy(): Promise<void> {
    return this.#sweep.stop();
  }

  get running(): number {
    let running = 0;
    for (const { turn } of this.#workers.values()) if (turn) running += 1;
    return running;
  }

  /** Turns that wait for a place on this node, theirs or their owner's. */
  get waiting(): number {
    return this.#places.waiting;
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

  /**
   * Something waits in the session.
   * @param traceparent of the connection that asked for the turn
   */
  wake(sessionId: string, turnId: string, traceparent: string | undefined): void {
    remember(this.#start(sessionId), turnId, traceparent);
  }

  /** Settles when the turn that is being begun here, if any, is known. */
  async begun(sessionId: string): Promise<void> {
    await this.#workers.get(sessionId)?.beginning;
  }

  /** Settles when nothing of the session runs here any more. */
  async idle(sessionId: string): Promise<void> {
    await this.#workers.get(sessionId)?.done;
  }

  /** From here on no turn begins: waiting ones stay stored for whoever comes next. */
  stopBeginning(): void {
    this.#stopping = true;
  }

  /** Waits for running turns; those that are not done in time end as `draining`, with all their text. */
  async drain(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => {
      this.#drainedOut = true;
      for (const { turn } of this.#workers.values()) turn?.decide(DRAINING);
    }, timeoutMs);
    await Promise.all([...this.#workers.values()].map(({ done }) => done));
    clearTimeout(timer);
  }

  async #takeUp(): Promise<void> {
    if (this.#stopping) return;
    try {
      for (const [sessionId, since] of this.#damaged)
        if (performance.now() - since >= DAMAGED_REST_MS) this.#damaged.delete(sessionId);
      const due = (await this.lease.due()).filter((id) => !this.#workers.has(id) && !this.#damaged.has(id));
      if (due.length > 0) this.#logger.log(`taking up ${due.length} sessions with open turns`);
      for (const sessionId of due) this.#start(sessionId);
    } catch (error) {
      this.#logger.warn(`turns that were left open could not be looked for: ${String(error)}`);
    }
  }

  #start(sessionId: string): Worker {
    const present = this.#workers.get(sessionId);
    if (present) {
      present.again = true;
      return present;
    }
    const worker: Worker = { again: false, origins: new Map(), done: Promise.resolve() };
    this.#workers.set(sessionId, worker);
    this.#watch(sessionId);
    worker.done = this.#outsideOfRequests(() => this.#work(sessionId, worker))
      .catch((error: unknown) => this.#logger.error({ err: error, msg: 'a worker failed' }))
      .finally(() => this.#retire(sessionId, worker));
    return worker;
  }

  async #work(sessionId: string, worker: Worker): Promise<void> {
    for (;;) {
      let leave = (): void => undefined;
      try {
        leave = await this.#places.acquire(await this.#subjectOf(sessionId));
        if (this.#stopping) return await this.#release(sessionId, worker);
        worker.again = false;
        const went = await this.#oneTurn(sessionId, worker);
        if (went === 'stop') return;
        // Given back: what was accepted since then needs a claim of its own.
        if (went === 'idle') worker.fence = undefined;
      } catch (error) {
        if (error instanceof SessionDamaged) {
          this.#logger.error({
            session: sessionHash(sessionId),
            err: error,
            msg: 'turns of a session cannot be run',
          });
          this.#damaged.set(sessionId, performance.now());
          return await this.#release(sessionId, worker);
        }
        this.#logger.warn({
          session: sessionHash(sessionId),
          msg: `the next turn could not be begun: ${String(error)}`,
        });
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

  async #release(sessionId: string, { fence }: Worker): Promise<void> {
    if (fence !== undefined) await this.lease.release(sessionId, fence);
  }

  /** @returns undefined where somebody else runs the session's turns */
  async #begin(sessionId: string, worker: Worker): Promise<{ next: NextTurn; fence: number } | undefined> {
    worker.fence ??= await this.lease.claim(sessionId);
    const { fence } = worker;
    return fence === undefined ? undefined : { next: await this.lease.next(sessionId, fence), fence };
  }

  async #oneTurn(sessionId: string, worker: Worker): Promise<'again' | 'idle' | 'stop'> {
    const beginning = this.#begin(sessionId, worker);
    worker.beginning = beginning.then(
      (begun) => {
        if (begun?.next.kind === 'turn')
          worker.turn = new ActiveTurn(sessionId, begun.next.turn, begun.fence);
        // It was being begun while the time of the drain passed.
        if (this.#drainedOut) worker.turn?.decide(DRAINING);
      },
      () => undefined,
    );
    try {
      const begun = await beginning;
      await worker.beginning;
      if (!begun) return 'stop';
      const { next, fence } = begun;
      switch (next.kind) {
        case 'turn':
          if (worker.turn) {
            const { turnId } = next.turn;
            const origin = worker.origins.get(turnId);
            worker.origins.delete(turnId);
            await this.runner.run(worker.turn, next.agent, fence, origin);
          }
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

  #watch(sessionId: string, afterMs?: number): void {
    if (!this.#workers.has(sessionId) || this.bindings.isAttached(sessionId)) return;
    this.detachPolicy.watch(sessionId, () => void this.#endOrphan(sessionId), afterMs);
  }

  async #endOrphan(sessionId: string): Promise<void> {
    this.detachPolicy.forget(sessionId);
    const reason = 'detached';
    const leftMs = await this.#timeLeft(sessionId);
    if (leftMs > 0) return this.#watch(sessionId, leftMs);
    try {
      await this.store.accept(sessionId, { kind: 'end-waiting', reason });
    } catch (error) {
      this.#logger.warn({
        session: sessionHash(sessionId),
        msg: `waiting turns of an orphaned session could not be ended: ${String(error)}`,
      });
      // They may yet run unwatched: look again later.
      this.#watch(sessionId);
    }
    // Somebody may have come back meanwhile.
    if (this.bindings.isAttached(sessionId)) return;
    this.orphansEnded += 1;
    this.#workers.get(sessionId)?.turn?.decide({ state: 'interrupted', reason });
  }

  /** For how long nobody may be attached yet, on whatever node; nothing is known of the future of who is attached now. */
  async #timeLeft(sessionId: string): Promise<number> {
    const { limitMs } = this.detachPolicy;
    try {
      const since = await this.feed.detachedSince(sessionId);
      return since === undefined ? limitMs : since + limitMs - this.clock.now();
    } catch (error) {
      this.#logger.warn(`whether anybody watches a session could not be asked: ${String(error)}`);
      return STORE_RETRY_MS;
    }
  }
}

/** Those that are withdrawn never begin: no more of them are kept than can wait. */
function remember({ origins }: Worker, turnId: string, traceparent: string | undefined): void {
  origins.set(turnId, { acceptedAt: performance.now(), traceparent });
  const [oldest] = origins.keys();
  if (origins.size > LIMITS.queuedTurns + 1 && oldest !== undefined) origins.delete(oldest);
}
