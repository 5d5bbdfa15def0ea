import { setTimeout as sleep } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import type {
  Ack,
  ClientEvents,
  EventPacket,
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

  readonly #packets: EventPacket[] = [];
  private readonly session: SessionPlan;

  constructor(url: string, session: SessionPlan) {
    this.session = session;
    this.#socket = io(url, { forceNew: true, transports: ['websocket'] });
    this.#socket.on('session:events', (packet) => this.#packets.push(packet));
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
    // All is over, so that this is the end of the log.
    const { seq } = (await this.#open({})).position;
    const opened = await this.#open({ position: asked });
    // A long replay comes in pieces: the rest follows as packets.
    const packets = opened.recovered ? await this.#packetsUpTo(seq, opened.position.seq) : [];
    return {
      name: `who returns to ${this.session.number}`,
      session: this.session.number,
      records: [
        { at: now(), kind: 'opened', opened: first, tookMs: 0 },
        { at: now(), kind: 'opened', asked, opened, tookMs: 0 },
        ...packets.map((packet) => ({ at: now(), kind: 'packet' as const, packet })),
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

  async #packetsUpTo(seq: number, reached: number): Promise<EventPacket[]> {
    // Of a session whose readers were slow it may be more than a hundred megabytes.
    let at = reached;
    let movedAt = performance.now();
    while (at < seq) {
      if (performance.now() - movedAt > TIMEOUT_MS)
        throw new Error(`the replay of events up to ${seq} stands still at ${at}`);
      await sleep(10);
      const { to } = this.#packets.at(-1) ?? { to: reached };
      if (to !== at) movedAt = performance.now();
      at = to;
    }
    return this.#packets;
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
