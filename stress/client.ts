import { io, type Socket } from 'socket.io-client';
import type {
  Ack,
  ClientEvents,
  OpenedSession,
  Position,
  SendResult,
  ServerEvents,
} from '../src/protocol.js';
import { now, type ClientLedger, type ClientRecord } from './ledgers.ts';
import type { Act, ClientPlan, SessionPlan, Transport } from './plan.ts';
import type { Proxy } from './proxy.ts';

/** An acknowledgement that has not come by then is lost; the same message is sent again. */
const LOST_ACK_MS = 2_500;
const CONNECT_TIMEOUT_MS = 2_000;
const RETRY_MS = 150;
const TRANSPORTS: Record<Transport, ('polling' | 'websocket')[]> = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
};

type Send = Extract<Act, { do: 'send' }>;
type WithoutTime<Entry> = Entry extends unknown ? Omit<Entry, 'at'> : never;

/**
 * A client of one session on real Socket.IO, behind a proxy of its own, that behaves as the contract teaches and
 * writes down all that it is given. It judges nothing: the checker does, afterwards.
 */
export class StressClient {
  readonly ledger: ClientLedger;
  reconnects = 0;
  /** Milliseconds from each connect with a position to the answer. */
  readonly catchUps: number[] = [];
  position?: Position;
  readonly #socket: Socket<ServerEvents, ClientEvents>;
  readonly #unacknowledged = new Map<number, { send: Send; timer?: NodeJS.Timeout }>();
  #openTurns = new Set<string>();
  #bound = false;
  #asked?: Position;
  #askedAt = 0;
  #closed = false;

  readonly plan: ClientPlan;
  readonly session: SessionPlan;
  /** Whether the store may lose sessions. */
  private readonly loses: boolean;
  private readonly proxy: Proxy;

  constructor(plan: ClientPlan, session: SessionPlan, proxy: Proxy, loses: boolean) {
    this.plan = plan;
    this.loses = loses;
    this.session = session;
    this.proxy = proxy;
    this.ledger = { name: plan.name, session: session.number, records: [] };
    this.#socket = this.#connect(proxy.url);
  }

  /** Bound, everything acknowledged, no turn open as far as it knows. */
  get atRest(): boolean {
    return this.#bound && this.#unacknowledged.size === 0 && this.#openTurns.size === 0;
  }

  toString(): string {
    const waits = [...this.#unacknowledged.keys()].join(', ') || 'none';
    const where = this.#bound ? `bound at ${this.position?.seq}` : 'not bound';
    return `${this.plan.name}: ${where}, ${this.#openTurns.size} open turns, unacknowledged messages: ${waits}`;
  }

  perform(act: Act, others: ReadonlyMap<number, SessionPlan>): void {
    switch (act.do) {
      case 'send':
        this.#unacknowledged.set(act.message, { send: act });
        this.#emitSend(act, act.copies);
        return;
      case 'cancel':
        return this.#cancel();
      case 'reconnect':
        this.#socket.disconnect();
        this.#socket.connect();
        return;
      case 'reload':
        this.#note({ kind: 'forgot' });
        this.position = undefined;
        this.#socket.disconnect();
        this.#socket.connect();
        return;
      case 'cut':
        this.#note({ kind: 'cut', how: act.how });
        return this.proxy.cut(act.how, act.forMs);
      case 'trespass': {
        const other = others.get(act.session);
        if (other) this.#trespass(other);
        return;
      }
    }
  }

  /** Ends the session for everyone. */
  endSession(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket
        .timeout(5_000)
        .emit('session:close', { sessionId: this.session.sessionId }, () => resolve());
    });
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#unacknowledged.values()) clearTimeout(timer);
    this.#socket.disconnect();
  }

  #connect(url: string): Socket<ServerEvents, ClientEvents> {
    const { sessionId, key } = this.session;
    const socket: Socket<ServerEvents, ClientEvents> = io(url, {
      forceNew: true,
      transports: TRANSPORTS[this.plan.transport],
      reconnectionDelay: 20,
      reconnectionDelayMax: 250,
      randomizationFactor: 0,
      // Engine.IO's client that is closed while it opens says nothing until then.
      timeout: CONNECT_TIMEOUT_MS,
      auth: (give) => {
        this.#asked = this.position;
        this.#askedAt = performance.now();
        give({ session: { sessionId, key, create: true, position: this.position } });
      },
    });
    socket.on('session:opened', (opened) => this.#adopt(opened));
    socket.on('session:failed', ({ error }) => {
      this.#note({ kind: 'failed', error });
      // A store out of reach: the handshake is tried again.
      if (error.retryable) setTimeout(() => !this.#closed && socket.disconnect().connect(), RETRY_MS);
    });
    socket.on('session:events', (packet) => {
      this.#note({ kind: 'packet', packet });
      this.position = { epoch: packet.epoch, seq: packet.to };
      this.#track(packet.events);
    });
    socket.on('disconnect', (reason) => {
      this.#bound = false;
      this.reconnects += 1;
      this.#note({ kind: 'disconnected', reason });
      // Ended by the gateway by a packet: Socket.IO's client does not come back by itself then.
      if (reason === 'io server disconnect') socket.connect();
    });
    // Refused while the gateway drains: Socket.IO's client takes that for final.
    socket.on('connect_error', () => {
      if (!socket.active && !this.#closed) setTimeout(() => !this.#closed && socket.connect(), RETRY_MS);
    });
    return socket;
  }

  #adopt(opened: OpenedSession): void {
    const tookMs = performance.now() - this.#askedAt;
    this.#note({ kind: 'opened', asked: this.#asked, opened, tookMs });
    if (this.#asked) this.catchUps.push(tookMs);
    this.position = opened.position;
    this.#bound = true;
    if (!opened.recovered) this.#openTurns = new Set(opened.turns.map(({ turnId }) => turnId));
    this.#track(opened.events);
    for (const { send } of this.#unacknowledged.values()) this.#emitSend(send, 1);
  }

  #track(events: OpenedSession['events']): void {
    for (const event of events) {
      if (event.type !== 'turn') continue;
      if (event.state === 'queued' || event.state === 'running') this.#openTurns.add(event.turnId);
      else this.#openTurns.delete(event.turnId);
    }
  }

  #emitSend(send: Send, copies: number): void {
    const waiting = this.#unacknowledged.get(send.message);
    if (!this.#bound || !waiting) return;
    clearTimeout(waiting.timer);
    waiting.timer = setTimeout(() => this.#emitSend(send, 1), LOST_ACK_MS);
    const { message, text, whenBusy } = send;
    this.#note({ kind: 'sent', message, copies });
    const payload = {
      sessionId: this.session.sessionId,
      messageId: messageId(this.session, message),
      text,
      whenBusy,
    };
    for (let copy = 0; copy < copies; copy += 1) {
      this.#socket.emit('message:send', payload, (answer) => this.#answered(send, answer));
    }
  }

  #answered(send: Send, answer: Ack<SendResult>): void {
    const { message } = send;
    const waiting = this.#unacknowledged.get(message);
    if (answer.ok) {
      this.#note({ kind: 'accepted', message, result: answer.data });
      clearTimeout(waiting?.timer);
      this.#unacknowledged.delete(message);
      return;
    }
    const { error } = answer;
    this.#note({ kind: 'refused', message, error });
    if (!waiting) return;
    clearTimeout(waiting.timer);
    // The session was lost while this client was bound to it: it is made again by who comes back, and told then.
    if (error.code === 'session_not_found' && this.loses) {
      this.#socket.disconnect().connect();
      return;
    }
    // Whoever sends with `reject` does not want it later.
    const final = !error.retryable || (error.code === 'session_busy' && send.whenBusy === 'reject');
    if (final) {
      this.#note({ kind: 'gave-up', message });
      this.#unacknowledged.delete(message);
    } else waiting.timer = setTimeout(() => this.#emitSend(send, 1), error.retryAfterMs ?? RETRY_MS);
  }

  #cancel(): void {
    if (!this.#bound) return;
    this.#socket.emit('turn:cancel', { sessionId: this.session.sessionId }, (answer) =>
      this.#note({ kind: 'cancelled', answer }),
    );
  }

  /** Everything that somebody could try who knows the id of another's session, and has a key of its own. */
  #trespass(other: SessionPlan): void {
    if (!this.#bound) return;
    const { sessionId } = other;
    const { key } = this.session;
    const tell =
      (request: string) =>
      (answer: Ack<unknown>): void =>
        this.#note({ kind: 'trespassed', session: other.number, request, ok: answer.ok, answer });
    const socket = this.#socket;
    const text = `⟦${this.session.number}.0⟧ let me in`;
    socket.emit('session:open', { sessionId, key }, tell('session:open'));
    socket.emit('session:open', { sessionId, key, create: true }, tell('session:open, create'));
    socket.emit('session:history', { sessionId }, tell('session:history'));
    socket.emit(
      'message:send',
      { sessionId, messageId: `x-${this.session.number}`, text },
      tell('message:send'),
    );
    socket.emit('turn:cancel', { sessionId }, tell('turn:cancel'));
    socket.emit('session:list', {}, tell('session:list'));
  }

  #note(record: WithoutTime<ClientRecord>): void {
    this.ledger.records.push({ at: now(), ...record });
  }
}

export function messageId(session: SessionPlan, message: number): string {
  return `m-${session.number}-${message}`;
}
