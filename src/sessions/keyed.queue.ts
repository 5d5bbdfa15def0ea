/** Runs tasks of one key one after the other, and tasks of different keys beside each other. */
export class KeyedQueue {
  /** By each key with a running task: what lets those that wait begin, in their order. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Where no task of this key runs, it begins at once, within the call. */
  async run<T>(key: string, task: () => Promise<T> | T): Promise<T> {
    const waiting = this.#waiting.get(key);
    if (waiting) await new Promise<void>((begin) => waiting.push(begin));
    else this.#waiting.set(key, []);
    try {
      return await task();
    } finally {
      const begin = this.#waiting.get(key)?.shift();
      if (begin) begin();
      else this.#waiting.delete(key);
    }
  }
}
