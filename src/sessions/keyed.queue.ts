/** Lets one task at a time have a key, in the order in which they came; different keys beside each other. */
export class KeyedQueue {
  /** By each key that a task has: what lets those that wait begin. Most have nobody waiting. */
  readonly #waiting = new Map<string, (() => void)[] | undefined>();

  /**
   * To be followed by one {@link leave}.
   * @returns undefined where nobody has the key: the task begins at once, within the call
   */
  enter(key: string): Promise<void> | undefined {
    if (!this.#waiting.has(key)) {
      this.#waiting.set(key, undefined);
      return undefined;
    }
    return new Promise((begin) => {
      const waiting = this.#waiting.get(key);
      if (waiting) waiting.push(begin);
      else this.#waiting.set(key, [begin]);
    });
  }

  leave(key: string): void {
    const begin = this.#waiting.get(key)?.shift();
    if (begin) begin();
    else this.#waiting.delete(key);
  }
}
