import { io, type Socket } from 'socket.io-client';
import type {
  Ack,
  ClientEvents,
  OpenedSession,
  OpenRequest,
  RequestName,
  Requests,
  ServerEvents,
  UIMessage,
} from '../src/protocol.js';
import { now, type ClientLedger, type StoredSession } from './ledgers.ts';
import type { SessionPlan } from './plan.ts';

const PAGE = 100;
const TIMEOUT_MS = 15_000;

/**
 * Comes when all is over, straight to the gateway: as somebody who knows nothing of the session, as somebody who
 * returns with the first position that there was, and for all that is stored.
 */
export class Reader {
  readonly #socket: Socket<ServerEvents, ClientEvents>;

  private readonly session: SessionPlan;

  constructor(url: string, session: SessionPlan) {
    this.session = session;
    this.#socket = io(url, { forceNew: true, transports: ['websocket'] });
  }

  /** The session as a newcomer finds it. */
  async newcomer(): Promise<ClientLedger> {
    const opened = await this.#open({});
    const record = { at: now(), kind: 'opened' as const, opened, tookMs: 0 };
    return { name: `newcomer to ${this.session.number}`, session: this.session.number, records: [record] };
  }

  /** @param first what the session's first client was given first: this one has seen nothing since */
  async returning(first: OpenedSession): Promise<ClientLedger> {
    const asked = first.position;
    const opened = await this.#open({ position: asked });
    return {
      name: `who returns to ${this.session.number}`,
      session: this.session.number,
      records: [
        { at: now(), kind: 'opened', opened: first, tookMs: 0 },
        { at: now(), kind: 'opened', asked, opened, tookMs: 0 },
      ],
    };
  }

  async stored(): Promise<StoredSession> {
    const messages: UIMessage[] = [];
    for (;;) {
      const { sessionId } = this.session;
      const before = messages[0]?.id;
      const page = await this.#ask('session:history', { sessionId, before, limit: PAGE });
      messages.unshift(...page.messages);
      if (!page.hasMore) return { session: this.session.number, messages };
    }
  }

  close(): void {
    this.#socket.disconnect();
  }

  #open(more: OpenRequest): Promise<OpenedSession> {
    const { sessionId, key } = this.session;
    return this.#ask('session:open', { sessionId, key, ...more });
  }

  async #ask<Name extends RequestName>(
    name: Name,
    payload: Requests[Name]['payload'],
  ): Promise<Requests[Name]['data']> {
    const socket = this.#socket.timeout(TIMEOUT_MS);
    // Socket.IO's types do not follow a name that is a parameter.
    const answer = (await socket.emitWithAck(name as 'session:open', payload)) as Ack<Requests[Name]['data']>;
    if (!answer.ok) throw new Error(`${answer.error.code}: ${answer.error.message}`);
    return answer.data;
  }
}
