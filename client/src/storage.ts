/**
 * Where a session's credentials and unsent messages outlive a reload: `localStorage`, `sessionStorage`, React
 * Native's AsyncStorage, or anything else of this shape. Keys begin with `mooring.`.
 */
export interface KeyValueStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, value: string): unknown;
  removeItem(key: string): unknown;
}

/** Forgets with the page: what is used where no storage is given. */
export class MemoryStorage implements KeyValueStorage {
  readonly #items = new Map<string, string>();

  getItem(key: string): string | null {
    return this.#items.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.#items.set(key, value);
  }

  removeItem(key: string): void {
    this.#items.delete(key);
  }
}

/**
 * JSON under a key. A storage may be forbidden, full or tampered with: then the session lives as long as the
 * page, which is no reason to fail.
 */
export class Kept<Value> {
  /** Changes run one after the other: each is a read and a write, and a storage may be asynchronous. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly storage: KeyValueStorage,
    private readonly key: string | Promise<string>,
    private readonly isValue: (value: unknown) => value is Value,
  ) {
    // Where there is no key, nothing is kept; whoever waits for the same promise tells why.
    if (typeof key !== 'string') key.catch(() => undefined);
  }

  async read(): Promise<Value | undefined> {
    try {
      const text = await this.storage.getItem(await this.key);
      const value: unknown = text === null ? undefined : JSON.parse(text);
      return this.isValue(value) ? value : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Changes what is there now, which another tab may have written; undefined removes it.
   * @returns what is there then
   */
  change<Changed extends Value | undefined>(change: (value: Value | undefined) => Changed): Promise<Changed> {
    const changed = this.#last.then(() =>
      alone(async () => {
        const value = change(await this.read());
        try {
          const key = await this.key;
          if (value === undefined) await this.storage.removeItem(key);
          else await this.storage.setItem(key, JSON.stringify(value));
        } catch {
          // As above.
        }
        return value;
      }),
    );
    this.#last = changed;
    return changed;
  }
}

interface WithLocks {
  locks?: { request<Result>(name: string, task: () => Promise<Result>): Promise<Result> };
}

/** With no other tab in between, where the Web Locks API is to be had: two tabs may be opened at once. */
async function alone<Result>(task: () => Promise<Result>): Promise<Result> {
  const { navigator } = globalThis as { navigator?: WithLocks };
  if (!navigator?.locks) return task();
  try {
    return await navigator.locks.request('mooring', task);
  } catch {
    // Refused, as it is to a frame of an opaque origin.
    return task();
  }
}
