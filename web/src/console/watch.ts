import type {
  AdminSample,
  AdminSessionDetail,
  AdminSessions,
  AdminStats,
} from '../../../src/ops/admin.api.js';
import type { SessionPresence } from '../../../src/protocol.js';
import { Problem, Refused, type AdminClient } from './admin.client.js';

const EVERY_MS = 2_000;

export interface ShownSession {
  sessionId: string;
  detail?: AdminSessionDetail;
  /** It is not there any more, or never was. */
  isGone: boolean;
}

export interface WatchState {
  /** away: the gateway does not answer; it is asked again. */
  link: 'connecting' | 'live' | 'away' | 'refused';
  stats?: AdminStats;
  samples: readonly AdminSample[];
  sessions?: AdminSessions;
  filter?: SessionPresence;
  /** Of the list, the first being 1. */
  page: number;
  shown?: ShownSession;
}

type Client = Pick<AdminClient, 'stats' | 'history' | 'sessions' | 'session'>;

/** Looks at the gateway every two seconds, and at once where something else is to be seen. */
export class Watch {
  state: WatchState = { link: 'connecting', samples: [], page: 1 };
  readonly #listeners = new Set<() => void>();
  /** Where the pages up to the present one begin; the first has no cursor. */
  #cursors: (string | undefined)[] = [undefined];
  #timer?: ReturnType<typeof setTimeout>;
  /** Which look is the newest: an answer to an older one is no news. */
  #look = 0;
  #isRunning = false;

  constructor(private readonly client: Client) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  start(): void {
    this.#isRunning = true;
    void this.look();
  }

  stop(): void {
    this.#isRunning = false;
    this.#look += 1;
    clearTimeout(this.#timer);
  }

  filter(filter: SessionPresence | undefined): void {
    this.#cursors = [undefined];
    this.#set({ filter, page: 1, sessions: undefined });
    void this.look();
  }

  nextPage(): void {
    const { sessions } = this.state;
    if (sessions?.nextCursor === undefined) return;
    this.#cursors.push(sessions.nextCursor);
    this.#turnPage();
  }

  previousPage(): void {
    if (this.#cursors.length === 1) return;
    this.#cursors.pop();
    this.#turnPage();
  }

  show(sessionId: string | undefined): void {
    this.#set({ shown: sessionId === undefined ? undefined : { sessionId, isGone: false } });
    // Also where nothing is shown any more: a look that is on its way would bring it back.
    void this.look();
  }

  /** Resolves when what it saw is shown, or nobody wants to know any more. */
  async look(): Promise<void> {
    this.#look += 1;
    const look = this.#look;
    clearTimeout(this.#timer);
    const news = await this.#news().catch((error: unknown): Partial<WatchState> => ({
      link: error instanceof Refused ? 'refused' : 'away',
    }));
    if (look !== this.#look || !this.#isRunning) return;
    this.#set(news);
    if (news.link !== 'refused') this.#timer = setTimeout(() => void this.look(), EVERY_MS);
  }

  async #news(): Promise<Partial<WatchState>> {
    const { filter: state, shown } = this.state;
    const [stats, { samples }, sessions, seen] = await Promise.all([
      this.client.stats(),
      this.client.history(),
      this.client.sessions({ state, cursor: this.#cursors.at(-1) }),
      shown && this.#see(shown),
    ]);
    return { link: 'live', stats, samples, sessions, shown: seen };
  }

  async #see({ sessionId }: ShownSession): Promise<ShownSession> {
    try {
      return { sessionId, detail: await this.client.session(sessionId), isGone: false };
    } catch (error) {
      if (error instanceof Problem && error.code === 'session_not_found') return { sessionId, isGone: true };
      throw error;
    }
  }

  #turnPage(): void {
    this.#set({ page: this.#cursors.length, sessions: undefined });
    void this.look();
  }

  #set(news: Partial<WatchState>): void {
    this.state = { ...this.state, ...news };
    for (const listener of this.#listeners) listener();
  }
}
