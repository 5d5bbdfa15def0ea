import { MemoryStorage } from 'mooring-client';

/** What of `localStorage` the page uses; where that is forbidden, a reload begins anew. */
export interface PageStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export function pageStorage(): PageStorage {
  try {
    return window.localStorage;
  } catch {
    return new MemoryStorage();
  }
}
