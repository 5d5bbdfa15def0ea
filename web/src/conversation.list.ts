import type { PageStorage } from './storage.js';

/** A conversation of this browser. The client keeps what opens it under its name. */
export interface ListedConversation {
  readonly name: string;
  /** Its first words. */
  readonly title: string;
}

const KEY = 'mooring.conversations';
const TITLE_LENGTH = 80;

/** The conversations of this browser, the last used one first. What another tab changes is seen here too. */
export class ConversationList {
  readonly #subscribers = new Set<() => void>();
  #items: readonly ListedConversation[];

  constructor(private readonly storage: PageStorage) {
    this.#items = this.#read();
    // Only other tabs' changes are told.
    addEventListener('storage', ({ key }) => {
      if (key !== KEY && key !== null) return;
      this.#items = this.#read();
      this.#tell();
    });
  }

  get items(): readonly ListedConversation[] {
    return this.#items;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#subscribers.add(listener);
    return () => void this.#subscribers.delete(listener);
  };

  /** Makes it the last used one, and lists it where it is not listed. Its first words stay its title. */
  use(name: string, text: string): void {
    const known = this.#items.find((each) => each.name === name);
    this.#write([known ?? { name, title: titleOf(text) }, ...this.#without(name)]);
  }

  remove(name: string): void {
    this.#write(this.#without(name));
  }

  #without(name: string): ListedConversation[] {
    return this.#read().filter((each) => each.name !== name);
  }

  #read(): readonly ListedConversation[] {
    try {
      const items: unknown = JSON.parse(this.storage.getItem(KEY) ?? '[]');
      return Array.isArray(items) ? items.filter(isListed) : [];
    } catch {
      // Forbidden, or not ours.
      return [];
    }
  }

  #write(items: readonly ListedConversation[]): void {
    this.#items = items;
    try {
      this.storage.setItem(KEY, JSON.stringify(items));
    } catch {
      // Full or forbidden: the list lives as long as the page.
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#subscribers]) listener();
  }
}

function isListed(value: unknown): value is ListedConversation {
  const { name, title } = (value ?? {}) as Partial<Record<keyof ListedConversation, unknown>>;
  return typeof name === 'string' && typeof title === 'string';
}

function titleOf(text: string): string {
  const line = text.trim().replace(/\s+/g, ' ');
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH - 1)}…` : line;
}
