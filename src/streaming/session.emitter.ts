import { Injectable, Logger } from '@nestjs/common';
import type { ChunkEvent, UIMessageChunk } from '../protocol.js';
import { isDelta, mergeChunks } from '../sessions/coalescer.js';
import { sessionHash } from '../sessions/session.hash.js';
import { SessionBindings } from '../sessions/session.bindings.js';
import { SessionStore, StoreUnavailable } from '../sessions/session.store.js';
import type { TurnEnd } from '../sessions/session.js';
import { Distribution } from './distribution.js';
import { FlushClock } from './flush.clock.js';

/** How long an append waits before it is tried again when the store did not take it. */
const RETRY_MS = 250;

/** They say nothing by themselves: an append of their own would cost more than all that they hold. */
const FRAMES: ReadonlySet<UIMessageChunk['type']> = new Set([
  'start',
  'start-step',
  'text-start',
  'text-end',
  'reasoning-start',
  'reasoning-end',
  'finish-step',
]);

/** Makes emitters, and counts over all of them. */
@Injectable()
export class StreamingService {
  /** Events that were recorded while no socket was bound, and so were sent to nobody. */
  droppedSends = 0;
  appendedEvents = 0;
  /** Seconds from an append's begin until its events were durable and sent on. */
  readonly appendTime = new Distribution([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]);
  /** Appends that the store did not take, and that were tried again. */
  failedAppends = 0;

  constructor(
    readonly store: SessionStore,
    readonly bindings: SessionBindings,
    readonly clock: FlushClock,
  ) {}

  open(sessionId: string, turnId: string, fence: number, onDeposed: () => void): SessionEmitter {
    return new SessionEmitter(this, sessionId, turnId, fence, onDeposed);
  }
}

/**
 * The connection-aware way out of one turn. Chunks are appended to the session's log, and what is in the log
 * reaches the sockets that are bound; for a detached session that is nobody, and the turn goes on all the
 * same. The first delta goes out at once; later ones, and what only opens or closes a step or a part, are
 * gathered per flush interval; anything else is flushed with all that came before it.
 */
export class SessionEmitter {
  readonly #logger = new Logger(SessionEmitter.name);
  #gathered: UIMessageChunk[] = [];
  #appending: Promise<void> | undefined;
  #scheduled = false;
  #urgent = false;
  #firstDelta = true;
  #closed = false;

  constructor(
    private readonly streaming: StreamingService,
    private readonly sessionId: string,
    private readonly turnId: string,
    private readonly fence: number,
    private readonly onDeposed: () => void,
  ) {}

  emit(chunk: UIMessageChunk): void {
    if (this.#closed) return;
    this.#gathered.push(chunk);
    const isFirstDelta = this.#firstDelta && isDelta(chunk);
    if (isFirstDelta) this.#firstDelta = false;
    else if (isDelta(chunk) || FRAMES.has(chunk.type)) return this.streaming.clock.request(this.#flush);
    this.#urgent = true;
    this.#flushSoon();
  }

  /**
   * Appends what is gathered, `closing`, and the turn's end, in one step; tries again until the store takes
   * it. Resolves to false where the turn was deposed meanwhile.
   */
  async end(closing: UIMessageChunk[], end: TurnEnd): Promise<boolean> {
    this.#closed = true;
    this.streaming.clock.forget(this.#flush);
    await this.#appending;
    const entries = this.#entries(this.#gathered.concat(closing));
    for (;;) {
      const appended = await this.#append(entries, end);
      if (appended !== 'unavailable') return appended === 'appended';
      await pause(RETRY_MS);
    }
  }

  /** One microtask later, so that chunks emitted in one go share an append. */
  #flushSoon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  readonly #flush = (): void => {
    if (this.#closed || this.#appending || this.#gathered.length === 0) return;
    const chunks = this.#gathered;
    this.#gathered = [];
    this.#urgent = false;
    this.#appending = this.#appendOrPutBack(chunks);
  };

  async #appendOrPutBack(chunks: UIMessageChunk[]): Promise<void> {
    const appended = await this.#append(this.#entries(chunks));
    if (appended === 'unavailable') {
      this.#gathered = chunks.concat(this.#gathered);
      if (!this.#closed) await pause(RETRY_MS);
    }
    this.#appending = undefined;
    if (appended === 'deposed') return this.#depose();
    // What came while this append was on its way: at once if it must not wait, else with the next tick.
    if (this.#urgent || appended === 'unavailable') this.#flush();
    else if (this.#gathered.length > 0) this.streaming.clock.request(this.#flush);
  }

  #entries(chunks: UIMessageChunk[]): ChunkEvent[] {
    const { turnId } = this;
    return mergeChunks(chunks).map((chunk) => ({ type: 'chunk', turnId, chunk }));
  }

  async #append(entries: ChunkEvent[], end?: TurnEnd): Promise<'appended' | 'deposed' | 'unavailable'> {
    const { sessionId, fence, streaming } = this;
    const begun = performance.now();
    try {
      const result = await streaming.store.append(sessionId, fence, entries, end);
      if (result.kind === 'deposed') return 'deposed';
      const { length } = result.packet.events;
      streaming.appendedEvents += length;
      streaming.appendTime.add((performance.now() - begun) / 1_000);
      if (!streaming.bindings.isAttached(sessionId)) streaming.droppedSends += length;
      return 'appended';
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) {
        this.#logger.error({ ...this.#ids(), err: error, msg: 'append failed' });
        return 'deposed';
      }
      streaming.failedAppends += 1;
      this.#logger.warn({ ...this.#ids(), msg: `${error.message}; trying again` });
      return 'unavailable';
    }
  }

  #ids(): { session: string; turn: string } {
    return { session: sessionHash(this.sessionId), turn: this.turnId };
  }

  #depose(): void {
    this.#closed = true;
    this.#gathered = [];
    this.onDeposed();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
