import type { AgentSummary, RequestName, Requests, SessionSummary } from '../../src/protocol.js';
import { Connection, type ConnectionOptions, type ConnectionState } from './connection.js';
import { isCredentials, newCredentials, type Credentials } from './credentials.js';
import type { MooringError } from './errors.js';
import { isOutgoing } from './outbox.js';
import { askOnce, untilAnswered } from './requests.js';
import { MooringSession } from './session.js';
import { Kept, MemoryStorage, type KeyValueStorage } from './storage.js';

export interface ClientOptions extends ConnectionOptions {
  /** Where sessions and unsent messages outlive a reload; by default they end with the page. */
  storage?: KeyValueStorage;
}

export interface SessionOptions {
  /** Under which the storage keeps it: the next page's session of that name is the same. */
  name?: string;
  /** Opens this very session, which is made where it is not there, instead of a kept or a new one. */
  credentials?: Credentials;
  /** The agent's id, for a session that is made now. */
  agent?: string;
  /** For a session that is made now: at most 16 KiB of JSON. */
  metadata?: Record<string, unknown>;
}

/**
 * A connection to a gateway, which is made at once, and up to 16 sessions on it.
 *
 * ```ts
 * const client = new MooringClient('http://localhost:3000', { storage: localStorage });
 * const session = client.session();
 * session.subscribe(() => render(session.state.messages));
 * await session.send('Hello!');
 * ```
 */
export class MooringClient {
  readonly #connection: Connection;
  readonly #storage: KeyValueStorage;
  readonly #sessions = new Map<string, MooringSession>();

  /** @param url the gateway's, such as `https://chat.example.com` */
  constructor(url: string, { storage = new MemoryStorage(), ...options }: ClientOptions = {}) {
    this.#storage = storage;
    this.#connection = new Connection(url, options);
  }

  get connection(): ConnectionState {
    return this.#connection.state;
  }

  /** Why the gateway refused the connection, or is out of reach. */
  get error(): MooringError | undefined {
    return this.#connection.error;
  }

  /** Is called when the connection changes. @returns ends the subscription */
  subscribe(listener: () => void): () => void {
    return this.#connection.subscribe(listener);
  }

  /** The session of that name (or of these credentials): the same object until it is left. */
  session(options: SessionOptions = {}): MooringSession {
    const { name = 'default', credentials, ...order } = options;
    const id = credentials ? `#${credentials.sessionId}` : name;
    const present = this.#sessions.get(id);
    if (present) return present;
    const kept = new Kept(this.#storage, `mooring.session.${name}`, isCredentials);
    const known = credentials
      ? Promise.resolve(credentials)
      : kept.change((present) => present ?? newCredentials());
    const outboxKey = known.then(({ sessionId }) => `mooring.outbox.${sessionId}`);
    const session = new MooringSession({
      ...order,
      connection: this.#connection,
      credentials: known,
      outbox: new Kept(this.#storage, outboxKey, isOutgoing),
      onLeft: () => this.#sessions.delete(id),
      // Whatever opens no session any more is of no use to the next page.
      onGone: () => {
        if (!credentials) void kept.change(() => undefined);
      },
    });
    this.#sessions.set(id, session);
    return session;
  }

  async agents(): Promise<AgentSummary[]> {
    return (await this.#request('agent:list', {})).agents;
  }

  /** The owner's sessions, newest first. @throws MooringError `unauthorized` where users have no tokens */
  list(page: { limit?: number; cursor?: string } = {}): Promise<{
    sessions: SessionSummary[];
    nextCursor?: string;
  }> {
    return this.#request('session:list', page);
  }

  /** Tries again after a refusal, with a new token. */
  connect(): void {
    this.#connection.connect();
  }

  /**
   * For tests and demonstrations: drops the transport as a lost network does; it comes back by itself.
   * @param awayMs after so many milliseconds, 5,000 at most, instead of the usual pause
   */
  dropConnection(awayMs?: number): void {
    this.#connection.drop(awayMs);
  }

  /** Leaves all sessions, which go on without us, and disconnects. */
  close(): void {
    for (const session of [...this.#sessions.values()]) session.leave();
    this.#connection.close();
  }

  #request<Name extends RequestName>(
    name: Name,
    payload: Requests[Name]['payload'],
  ): Promise<Requests[Name]['data']> {
    return untilAnswered(async () => {
      await this.#connection.connected();
      return askOnce(this.#connection, name, payload);
    });
  }
}
