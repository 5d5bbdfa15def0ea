import type {
  EventPacket,
  OpenedSession,
  OpenRequest,
  Position,
  RequestName,
  Requests,
  SessionEvent,
} from '../../src/protocol.js';
import type { Connection, Member } from './connection.js';
import type { Credentials } from './credentials.js';
import { closedError, MooringError } from './errors.js';
import { askOnce, untilAnswered } from './requests.js';

/**
 * `connecting`: it was never bound yet · `connected` · `reconnecting`: it goes on by itself · `failed`: it cannot
 * be opened, `error` says why · `left`.
 */
export type SessionConnection = 'connecting' | 'connected' | 'reconnecting' | 'failed' | 'left';

export interface BindingOrder {
  connection: Pick<Connection, 'state' | 'join' | 'forget' | 'ask'>;
  credentials: Promise<Credentials>;
  agent?: string;
  metadata?: Record<string, unknown>;
  /** Its credentials open nothing any more. */
  onGone(): void;
}

/** How soon a session that could not be opened now is asked for again; varied by half. */
const REOPEN_MS = 2_000;

interface BindingEvents {
  opened(opened: OpenedSession): void;
  events(events: readonly SessionEvent[]): void;
  /** Its connection is another one. */
  changed(): void;
  failed(error: MooringError): void;
}

/** A request's payload, but for the session that it names. */
type Payload<Name extends RequestName> = Omit<Requests[Name]['payload'], 'sessionId'>;

/** Keeps a session bound and its position true, and repeats requests until there is an answer. */
export class Binding implements Member {
  sessionId = '';
  connection: SessionConnection = 'connecting';
  error?: MooringError;
  #credentials?: Credentials;
  #position?: Position;
  /** A reopen is under way: packets that come before its answer are part of it. */
  #reopening = false;
  #wasBound = false;
  #timer?: ReturnType<typeof setTimeout>;
  /** They wait for the session to be bound. */
  #waiting: { resolve: () => void; reject: (error: MooringError) => void }[] = [];

  constructor(
    private readonly order: BindingOrder,
    private readonly events: BindingEvents,
  ) {}

  async join(): Promise<void> {
    const credentials = await this.order.credentials;
    if (this.connection === 'left') return;
    this.#credentials = credentials;
    this.sessionId = credentials.sessionId;
    this.order.connection.join(this);
    this.events.changed();
  }

  openRequest(): OpenRequest {
    const { agent, metadata } = this.order;
    const first = this.#wasBound ? {} : { ...(agent && { agent }), ...(metadata && { metadata }) };
    return {
      ...this.#credentials,
      create: true,
      ...first,
      ...(this.#position && { position: this.#position }),
    };
  }

  opened(opened: OpenedSession): void {
    if (this.connection === 'left') return;
    this.#position = opened.position;
    this.#wasBound = true;
    this.error = undefined;
    this.#become('connected');
    this.events.opened(opened);
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  failed(error: MooringError): void {
    if (this.connection === 'left') return;
    if (error.retryable) {
      this.#later(error.retryAfterMs);
      return;
    }
    if (error.code === 'session_not_found') this.order.onGone();
    // A refusal concerns the whole connection, which may come back with another token; all else this session.
    if (error.code !== 'unauthorized') this.order.connection.forget(this);
    this.error = error;
    this.#become('failed');
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.events.failed(error);
  }

  /** A packet is what we have, what comes next, or the sign that something is missing. */
  received({ epoch, from, to, events }: EventPacket): void {
    if (!this.#position || this.#reopening || this.connection !== 'connected') return;
    const known = this.#position.epoch === epoch ? this.#position.seq : undefined;
    if (known !== undefined && to <= known) return;
    if (known !== from) return this.reopen();
    this.#position = { epoch, seq: to };
    this.events.events(events);
    if (events.at(-1)?.type === 'session') this.#ended();
  }

  /** Asks for what came after the present position. */
  reopen(): void {
    if (this.#reopening || this.connection === 'left' || this.connection === 'failed') return;
    this.#reopening = true;
    this.order.connection.ask('session:open', this.openRequest(), (answer) => {
      this.#reopening = false;
      if (!answer) {
        // The next connect names it; where the connection stands and is silent, it is asked again.
        if (this.order.connection.state === 'connected') this.#later();
      } else if (answer.ok) this.opened(answer.data);
      else this.failed(new MooringError(answer.error));
    });
  }

  unbound(): void {
    clearTimeout(this.#timer);
    if (this.connection === 'connected') this.#become('reconnecting');
    else if (this.connection === 'failed' && this.error?.code === 'unauthorized')
      this.#become('reconnecting');
  }

  leave(): void {
    clearTimeout(this.#timer);
    const { connection } = this.order;
    if (this.connection === 'connected')
      connection.ask('session:leave', { sessionId: this.sessionId }, () => undefined);
    connection.forget(this);
    this.#become('left');
    for (const { reject } of this.#waiting.splice(0)) reject(closedError());
  }

  bound(): Promise<void> {
    if (this.connection === 'connected') return Promise.resolve();
    if (this.connection === 'left') return Promise.reject(closedError());
    if (this.connection === 'failed') return Promise.reject(this.error ?? closedError());
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** @throws MooringError what the gateway said against it, why the session failed, or that it was left */
  request<Name extends RequestName>(name: Name, payload: Payload<Name>): Promise<Requests[Name]['data']> {
    let isReopened = false;
    return untilAnswered(
      async () => {
        await this.bound();
        const named = { ...payload, sessionId: this.sessionId } as Requests[Name]['payload'];
        return askOnce(this.order.connection, name, named);
      },
      ({ code }) => {
        if (code !== 'session_not_found' || isReopened) return false;
        // Bound as far as we know, and not as far as the gateway knows: once, it is bound anew.
        isReopened = true;
        if (this.connection === 'connected') this.#become('reconnecting');
        this.reopen();
        return true;
      },
    );
  }

  /** The session is over, for everyone: nothing asks for it any more. */
  #ended(): void {
    const message = 'The session has ended.';
    this.failed(new MooringError({ code: 'session_not_found', message, retryable: false }));
  }

  #later(ms = REOPEN_MS * (0.5 + Math.random())): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.reopen(), ms);
  }

  #become(connection: SessionConnection): void {
    if (connection === this.connection) return;
    this.connection = connection;
    this.events.changed();
  }
}
