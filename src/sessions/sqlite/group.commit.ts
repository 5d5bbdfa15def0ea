import { isEngineFault, toStoreError } from './sqlite.errors.js';

interface Waiting<Batch> {
  batch: Batch;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** How soon after a transaction a batch that can wait begins the next one. */
const PACE_MS = 3;

/**
 * Gathers the batches of one turn of the event loop into one transaction, which is what makes a flush of
 * several hundred sessions cheap. They are written in the order in which they came.
 */
export class GroupCommit<Batch> {
  #waiting: Waiting<Batch>[] = [];
  #immediate?: NodeJS.Immediate;
  #timer?: NodeJS.Timeout;
  #flushedAt = -Infinity;

  /** @param write makes all of these durable, or throws and changes nothing */
  constructor(private readonly write: (batches: Batch[]) => void) {}

  /**
   * Resolves when the batch is durable; rejects as {@link toStoreError} says.
   * @param patient nobody sees whether this takes some milliseconds more: where there was a transaction just
   *   now, it waits for company, of which there then is much
   */
  add(batch: Batch, patient = false): Promise<void> {
    const wait = patient ? this.#flushedAt + PACE_MS - performance.now() : 0;
    if (wait <= 0) this.#immediate ??= setImmediate(() => this.flush());
    else this.#timer ??= setTimeout(() => this.flush(), wait);
    return new Promise((resolve, reject) => this.#waiting.push({ batch, resolve, reject }));
  }

  /** Writes what is waiting, now. */
  flush(): void {
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
    this.#immediate = this.#timer = undefined;
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    this.#flushedAt = performance.now();
    try {
      this.write(waiting.map(({ batch }) => batch));
    } catch (error) {
      this.#failed(waiting, error);
      return;
    }
    for (const { resolve } of waiting) resolve();
  }

  /** The engine's faults concern every batch; any other is one batch's own, and spares its neighbours. */
  #failed(waiting: Waiting<Batch>[], error: unknown): void {
    if (waiting.length === 1 || isEngineFault(error)) {
      const told = toStoreError(error);
      for (const { reject } of waiting) reject(told);
      return;
    }
    for (const { batch, resolve, reject } of waiting) {
      try {
        this.write([batch]);
        resolve();
      } catch (own) {
        reject(toStoreError(own));
      }
    }
  }
}
