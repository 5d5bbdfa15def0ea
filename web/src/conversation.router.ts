import { newId, type MooringClient, type MooringSession } from 'mooring-client';
import type { ConversationList } from './conversation.list.js';
import type { PageStorage } from './storage.js';

export interface ShownConversation {
  /** Of this browser, and what the address ends with. */
  readonly name: string;
  readonly session: MooringSession;
}

/** A browser's first one, so that two tabs which are opened at once show the same. */
const FIRST = 'first';
const AGENT_KEY = 'mooring.agent';

/** Which conversation is shown: the one that the address names, or else the last used one. */
export class ConversationRouter {
  readonly #subscribers = new Set<() => void>();
  #shown: ShownConversation;

  constructor(
    private readonly client: MooringClient,
    readonly list: ConversationList,
    private readonly storage: PageStorage,
  ) {
    const name = nameInAddress() ?? list.items[0]?.name ?? FIRST;
    history.replaceState(null, '', `#${name}`);
    this.#shown = this.#open(name);
    addEventListener('hashchange', () => {
      const named = nameInAddress();
      if (named !== undefined) this.#change(named);
    });
  }

  get shown(): ShownConversation {
    return this.#shown;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#subscribers.add(listener);
    return () => void this.#subscribers.delete(listener);
  };

  show(name: string): void {
    if (name === this.#shown.name) return;
    history.pushState(null, '', `#${name}`);
    this.#change(name);
  }

  /** It is listed once something was said in it. */
  showNew(): void {
    this.show(newId());
  }

  /** Shows a new one in place of one that is not there any more. */
  replace(): void {
    this.list.remove(this.#shown.name);
    const name = newId();
    history.replaceState(null, '', `#${name}`);
    this.#change(name);
  }

  /** Ends a conversation for everyone. @throws MooringError it could not be ended; it is not listed any more then */
  async remove(name: string): Promise<void> {
    this.list.remove(name);
    if (name === this.#shown.name) {
      const next = this.list.items[0]?.name;
      if (next === undefined) this.showNew();
      else this.show(next);
    }
    const session = this.client.session({ name });
    try {
      await session.close();
    } finally {
      session.leave();
    }
  }

  /** Of the conversations to come. '' forgets it. */
  preferAgent(agent: string): void {
    try {
      this.storage.setItem(AGENT_KEY, agent);
    } catch {
      // Forbidden or full: the preference lives as long as the conversation.
    }
  }

  #change(name: string): void {
    if (name === this.#shown.name) return;
    // It goes on without us.
    this.#shown.session.leave();
    this.#shown = this.#open(name);
    for (const listener of [...this.#subscribers]) listener();
  }

  #open(name: string): ShownConversation {
    const agent = this.#preferredAgent();
    return { name, session: this.client.session({ name, ...(agent && { agent }) }) };
  }

  #preferredAgent(): string | null {
    try {
      return this.storage.getItem(AGENT_KEY);
    } catch {
      return null;
    }
  }
}

function nameInAddress(): string | undefined {
  return /^#([\w-]{1,64})$/.exec(location.hash)?.[1];
}
