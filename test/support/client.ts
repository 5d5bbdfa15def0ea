import { randomBytes, randomUUID } from 'node:crypto';
import { io, type Socket } from 'socket.io-client';
import type {
  Ack,
  ClientEvents,
  ErrorPayload,
  EventPacket,
  OpenedSession,
  OpenRequest,
  Position,
  RequestName,
  Requests,
  ServerEvents,
  SessionEvent,
  TurnEvent,
} from '../../src/protocol.js';
import { Channel } from '../../src/testing/channel.js';

export interface ClientOptions {
  /** Asked for at every connect where it is a function. */
  token?: string | (() => string | undefined);
  /** Asked for at every connect. */
  session?: () => OpenRequest | OpenRequest[] | undefined;
  transports?: ('websocket' | 'polling')[];
  reconnection?: boolean;
  /** A foreign page's. */
  origin?: string;
  /** Of `auth`; asked for at every connect. */
  traceparent?: () => string | undefined;
  /** Of the request that connects. */
  headers?: Record<string, string>;
}

/** A sessionId and a key as a frontend makes them. */
export function newCredentials(): { sessionId: string; key: string } {
  return { sessionId: randomBytes(16).toString('base64url'), key: randomBytes(32).toString('base64url') };
}

/** A plain Socket.IO client that keeps all it was sent, and waits for what must come. */
export class TestClient {
  readonly socket: Socket<ServerEvents, ClientEvents>;
  readonly packets = new Channel<EventPacket>('session:events');
  readonly opened = new Channel<OpenedSession>('session:opened');
  readonly failed = new Channel<{ sessionId?: string; error: ErrorPayload }>('session:failed');
  readonly unanswered = new Channel<{ event: string; error: ErrorPayload }>('request:failed');
  readonly draining = new Channel<{ graceMs: number }>('server:draining');
  readonly disconnects = new Channel<string>('disconnect');
  /** Every packet, also those that were taken from the channel. */
  readonly received: EventPacket[] = [];

  constructor(url: string, options: ClientOptions = {}) {
    const { token, session, transports = ['websocket'], reconnection = false, origin } = options;
    const { traceparent, headers } = options;
    this.socket = io(url, {
      transports,
      reconnection,
      reconnectionDelay: 10,
      forceNew: true,
      extraHeaders: { ...headers, ...(origin && { origin }) },
      auth: (give) =>
        give({
          token: typeof token === 'function' ? token() : token,
          session: session?.(),
          traceparent: traceparent?.(),
        }),
    });
    this.socket.on('session:events', (packet) => {
      this.received.push(packet);
      this.packets.push(packet);
    });
    this.socket.on('session:opened', (opened) => this.opened.push(opened));
    this.socket.on('session:failed', (failure) => this.failed.push(failure));
    this.socket.on('request:failed', (failure) => this.unanswered.push(failure));
    this.socket.on('server:draining', (notice) => this.draining.push(notice));
    this.socket.on('disconnect', (reason) => this.disconnects.push(reason));
  }

  /** Resolves when connected, rejects with the reason of the refusal. */
  connected(): Promise<void> {
    if (this.socket.connected) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.socket.once('connect', () => resolve());
      this.socket.once('connect_error', reject);
    });
  }

  /** Sends a request and gives its acknowledgement as it came. */
  ask<Name extends RequestName>(
    name: Name,
    payload: Requests[Name]['payload'],
  ): Promise<Ack<Requests[Name]['data']>> {
    return this.askRaw(name, payload) as Promise<Ack<Requests[Name]['data']>>;
  }

  /** Sends whatever it is given, also what no contract knows. */
  askRaw(name: string, ...args: unknown[]): Promise<Ack<unknown>> {
    return (this.socket as unknown as Socket).timeout(20_000).emitWithAck(name, ...args) as Promise<
      Ack<unknown>
    >;
  }

  /** The data of a request that must succeed. */
  async do<Name extends RequestName>(
    name: Name,
    payload: Requests[Name]['payload'],
  ): Promise<Requests[Name]['data']> {
    const answer = await this.ask(name, payload);
    if (!answer.ok) throw new Error(`${name}: ${answer.error.code}: ${answer.error.message}`);
    return answer.data;
  }

  /** The code of a request that must fail. */
  async refused(name: string, payload: unknown): Promise<string> {
    const answer = await this.askRaw(name, payload);
    if (answer.ok) throw new Error(`${name} was not refused`);
    return answer.error.code;
  }

  open(request: OpenRequest = {}): Promise<OpenedSession> {
    return this.do('session:open', request);
  }

  send(sessionId: string, text: string, more: Partial<Requests['message:send']['payload']> = {}) {
    return this.do('message:send', { sessionId, messageId: randomUUID(), text, ...more });
  }

  /** Takes packets until an event matches; gives all events up to that packet's end. */
  async until(matches: (event: SessionEvent) => boolean): Promise<SessionEvent[]> {
    const events: SessionEvent[] = [];
    for (;;) {
      const packet = await this.packets.next();
      events.push(...packet.events);
      if (packet.events.some(matches)) return events;
    }
  }

  /** Takes packets until a turn is in a state; gives that event. */
  async turn(state: TurnEvent['state'], turnId?: string): Promise<TurnEvent & { seq: number }> {
    const matches = (event: SessionEvent): event is TurnEvent & { seq: number } =>
      event.type === 'turn' && event.state === state && (turnId === undefined || event.turnId === turnId);
    const events = await this.until(matches);
    return events.find(matches) as TurnEvent & { seq: number };
  }

  /** The events of all packets so far, in order. */
  get events(): SessionEvent[] {
    return this.received.flatMap((packet) => packet.events);
  }

  /** The last position that the packets of a session led to. */
  position(opened: OpenedSession): Position {
    const last = this.received.findLast((packet) => packet.sessionId === opened.sessionId);
    return last ? { epoch: last.epoch, seq: last.to } : opened.position;
  }

  /** The transport dies without a word, as of a closed laptop; one that is not open yet is let alone. */
  vanish(): void {
    const { engine } = this.socket.io as unknown as {
      engine?: {
        readyState: string;
        transport: { ws?: { _socket?: { destroy(): void } } };
        close(): void;
      };
    };
    // Engine.IO's client that is closed while it opens says nothing until its connect has timed out (20 s).
    if (engine?.readyState !== 'open') return;
    const raw = engine.transport.ws?._socket;
    if (raw) raw.destroy();
    else engine.close();
  }

  close(): Promise<void> {
    this.socket.disconnect();
    return Promise.resolve();
  }
}

/** The text of an answer, from the chunk events of a turn. */
export function textOf(events: readonly SessionEvent[], turnId?: string): string {
  return events
    .map((event) =>
      event.type === 'chunk' &&
      event.chunk.type === 'text-delta' &&
      (turnId === undefined || event.turnId === turnId)
        ? event.chunk.delta
        : '',
    )
    .join('');
}
