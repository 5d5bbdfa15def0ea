import type {
  AdminError,
  AdminHistory,
  AdminSessionDetail,
  AdminSessions,
  AdminStats,
} from '../../src/ops/admin.api.js';

export const ADMIN_TOKEN = 'the-token-of-the-harbour-office';

/** Who holds the admin token of a gateway, or another one. */
export class Operator {
  constructor(
    private readonly url: string,
    private readonly token = ADMIN_TOKEN,
  ) {}

  /** @param path below `/admin` */
  ask(path: string, method = 'GET', more: RequestInit = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${this.token}` };
    return fetch(`${this.url}/admin${path}`, { method, headers, redirect: 'manual', ...more });
  }

  async stats(): Promise<AdminStats> {
    return (await this.ask('/stats')).json() as Promise<AdminStats>;
  }

  async history(): Promise<AdminHistory> {
    return (await this.ask('/stats/history')).json() as Promise<AdminHistory>;
  }

  async sessions(query = ''): Promise<AdminSessions> {
    return (await this.ask(`/sessions${query}`)).json() as Promise<AdminSessions>;
  }

  async session(sessionId: string, query = ''): Promise<AdminSessionDetail> {
    return (await this.ask(`/sessions/${sessionId}${query}`)).json() as Promise<AdminSessionDetail>;
  }

  close(sessionId: string): Promise<Response> {
    return this.ask(`/sessions/${sessionId}`, 'DELETE');
  }

  /** The status and the error of a request that must fail. */
  async refused(path: string, method?: string): Promise<[status: number, error: AdminError['error']]> {
    const response = await this.ask(path, method);
    return [response.status, ((await response.json()) as AdminError).error];
  }
}
