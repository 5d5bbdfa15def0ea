import type { FinishReason, SessionEvent, TurnEvent, UIMessageChunk } from '../protocol.js';
import { chunksBetween, storedAnswer, type Answer } from './message.chunks.js';
import { AnswerFold } from './message.fold.js';

/** How a turn ended, as its terminal event says. */
export type TurnEnding = Pick<TurnEvent, 'state' | 'finishReason' | 'reason' | 'error'>;

export interface TurnListener {
  /** The next chunk. A completed turn's last one is `finish`, a cancelled or interrupted one's is `abort`. */
  chunk(chunk: UIMessageChunk): void;
  /** Called once, after the last chunk. */
  end(ending: TurnEnding): void;
}

/**
 * Reads one turn out of a session's log as one stream of chunks: from its start, each once, whatever of it came as
 * events and whatever as a stored answer.
 */
export class TurnReader {
  /** What was told, so that what is missing is known after a snapshot too. */
  readonly #told = new AnswerFold();
  #ended = false;

  constructor(
    private readonly turnId: string,
    private readonly listener: TurnListener,
  ) {}

  get ended(): boolean {
    return this.#ended;
  }

  /** @param events the next ones of the log, those of other turns too */
  take(events: readonly SessionEvent[]): void {
    for (const event of events) {
      if (this.#ended) return;
      if (event.type === 'message') {
        // The answer of a turn that ended unrun: it has no chunks.
        const { role, metadata } = event.message;
        if (role === 'assistant' && metadata?.turnId === this.turnId)
          this.catchUp(storedAnswer(event.message));
      } else if (!('turnId' in event) || event.turnId !== this.turnId) continue;
      else if (event.type === 'turn') {
        if (event.state !== 'queued' && event.state !== 'running') this.end(event);
      } else if (!isLast(event.chunk)) {
        this.#tell(event.chunk);
      }
    }
  }

  /**
   * Tells what is missing of the answer as it is now.
   * @returns false: what was told is not the begin of it, so that this cannot go on
   */
  catchUp(answer: Answer): boolean {
    const chunks = chunksBetween(this.#told, answer);
    for (const chunk of chunks ?? []) this.#tell(chunk);
    return chunks !== undefined;
  }

  end(ending: TurnEnding): void {
    if (this.#ended) return;
    this.#ended = true;
    const last = lastChunk(ending);
    if (last) this.listener.chunk(last);
    this.listener.end(ending);
  }

  #tell(chunk: UIMessageChunk): void {
    this.#told.apply(chunk);
    this.listener.chunk(chunk);
  }
}

/** The last chunk is told when the turn's end says why. */
function isLast({ type }: UIMessageChunk): boolean {
  return type === 'finish' || type === 'abort' || type === 'error';
}

function lastChunk({ state, finishReason, reason }: TurnEnding): UIMessageChunk | undefined {
  if (state === 'failed') return undefined;
  return state === 'completed' ? finish(finishReason) : { type: 'abort', reason: reason ?? state };
}

function finish(finishReason: FinishReason | undefined): UIMessageChunk {
  return { type: 'finish', ...(finishReason && { finishReason }) };
}
