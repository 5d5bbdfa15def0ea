const KEY = 'mooring.admin-token';

/** The token of this tab, and of no other one; it is gone when the tab is closed. */
export class TokenStorage {
  read(): string | undefined {
    return this.#attempt((storage) => storage.getItem(KEY)) ?? undefined;
  }

  write(token: string): void {
    this.#attempt((storage) => storage.setItem(KEY, token));
  }

  forget(): void {
    this.#attempt((storage) => storage.removeItem(KEY));
  }

  /** Where the browser forbids it, a reload asks again. */
  #attempt<Result>(act: (storage: Storage) => Result): Result | undefined {
    try {
      return act(window.sessionStorage);
    } catch {
      return undefined;
    }
  }
}
