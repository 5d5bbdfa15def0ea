/** How long a test waits for what must come; far above any delay of a slow machine. */
const PATIENCE_MS = 20_000;

/** What happens, in order, for whoever waits for it. */
export class Channel<T> {
  readonly #items: T[] = [];
  readonly #takers: ((item: T) => void)[] = [];

  constructor(private readonly name = 'something') {}

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    const taker = this.#takers.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  }

  /** The next item; rejects where none comes. */
  next(): Promise<T> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        reject(new Error(`waited in vain for ${this.name}`));
      }, PATIENCE_MS);
      timer.unref();
      const taker = (taken: T): void => {
        clearTimeout(timer);
        resolve(taken);
      };
      this.#takers.push(taker);
    });
  }
}
