import type {
  AdminDraining,
  AdminError,
  AdminHistory,
  AdminSessionDetail,
  AdminSessions,
  AdminStats,
} from '../../../src/ops/admin.api.js';
import type { SessionPresence } from '../../../src/protocol.js';

/** A gateway that does not answer by then is taken for gone. */
const TIMEOUT_MS = 10_000;
const PAGE_SIZE = 25;

/** The token is not the gateway's, or is not looked at for now, or there is no admin: it does not say which. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** Nobody answered, or a proxy that had nobody to ask. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** The gateway's own no. */
export class Problem extends Error {
  override readonly name = 'Problem';

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface PageQuery {
  state?: SessionPresence;
  cursor?: string;
}

/** The admin API of the gateway that the page came from. Every method rejects with one of the errors above. */
export class AdminClient {
  constructor(private readonly token: string) {}

  stats(): Promise<AdminStats> {
    return this.#ask('GET', '/admin/stats');
  }

  history(): Promise<AdminHistory> {
    return this.#ask('GET', '/admin/stats/history');
  }

  sessions({ state, cursor }: PageQuery): Promise<AdminSessions> {
    const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
    if (state) query.set('state', state);
    if (cursor) query.set('cursor', cursor);
    return this.#ask('GET', `/admin/sessions?${query}`);
  }

  session(sessionId: string, content = false): Promise<AdminSessionDetail> {
    const path = `/admin/sessions/${encodeURIComponent(sessionId)}`;
    return this.#ask('GET', content ? `${path}?content=true` : path);
  }

  async close(sessionId: string): Promise<void> {
    await this.#ask('DELETE', `/admin/sessions/${encodeURIComponent(sessionId)}`);
  }

  drain(): Promise<AdminDraining> {
    return this.#ask('POST', '/admin/drain');
  }

  async #ask<Answer>(method: string, path: string): Promise<Answer> {
    const headers = { authorization: `Bearer ${this.token}` };
    let response: Response;
    let body: unknown;
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      response = await fetch(path, { method, headers, signal, credentials: 'omit', cache: 'no-store' });
      body = response.status === 204 ? undefined : await response.json();
    } catch {
      throw new Unreachable('The gateway does not answer.');
    }
    if (response.ok) return body as Answer;
    const { error } = (body ?? {}) as Partial<AdminError>;
    // An unknown path is told in the framework's words, where `error` is none of ours.
    if (typeof error === 'object') throw new Problem(error.code, error.message);
    throw response.status === 404 ? new Refused('refused') : new Unreachable(`status ${response.status}`);
  }
}
