import {
  LIMITS,
  type Ack,
  type EventPacket,
  type OpenedSession,
  type OpenRequest,
  type Position,
  type RequestName,
  type Requests,
  type SendResult,
  type SessionEvent,
  type UIMessage,
  type WhenBusy,
} from '../../src/protocol.js';
import type { Connection, Member } from './connection.js';
import { Conversation, type ConversationState } from './conversation.js';
import { newId, type Credentials } from './credentials.js';
import { closedError, MooringError } from './errors.js';
import { Outbox, type Outgoing, type OutgoingRequest } from './outbox.js';
import { untilAnswered } from './requests.js';
import type { Kept } from './storage.js';

/**
 * `connecting`: it was never bound yet · `connected` · `reconnecting`: it goes on by itself · `failed`: it cannot
 * be opened, `error` says why · `left`.
 */
export type SessionConnection = 'connecting' | 'connected' | 'reconnecting' | 'failed' | 'left';

/** A session as a frontend shows it. A new object at every change: what is identical did not change. */
export interface SessionState extends ConversationState {
  /** Undefined until the storage was read. */
  readonly sessionId?: string;
  readonly connection: SessionConnection;
  /** With `failed`: why. */
  readonly error?: MooringError;
  /** What the conversation does not show yet: on its way, or refused. */
  readonly outbox: readonly Outgoing[];
}

export interface SessionEvents {
  /** Bound, at first or again: `recovered` says whether this goes on from what was received before. */
  opened: (opened: OpenedSession) => void;
  /** The next events of the log, in order, each once. Those of `opened.events` are not among them. */
  events: (events: readonly SessionEvent[]) => void;
  /** The session cannot be opened. */
  failed: (error: MooringError) => void;
}

export interface SendOptions {
  /** Of at most 64 characters; by default a new one. */
  messageId?: string;
  /** What happens while a turn runs: it waits (by default), it is refused, or it takes the turn's place. */
  whenBusy?: WhenBusy;
}

export interface RetryOptions {
  /** The user message that is answered anew; by default the last. All that came after it is withdrawn. */
  messageId?: string;
  /** Replaces that message's text. */
  text?: string;
}

/** What a session is made of; see {@link MooringClient.session}, which makes it. */
export interface SessionOrder {
  connection: Pick<Connection, 'state' | 'join' | 'forget' | 'ask'>;
  credentials: Promise<Credentials>;
  outbox: Kept<OutgoingRequest[]>;
  agent?: string;
  metadata?: Record<string, unknown>;
  onLeft(): void;
  /** Its credentials open nothing any more. */
  onGone(): void;
}

/** How soon a session that could not be opened now is asked for again; varied by half. */
const REOPEN_MS = 2_000;

type Listeners = { [Name in keyof SessionEvents]: Set<SessionEvents[Name]> };

/**
 * One conversation. It connects, comes back after whatever happens to the connection, and then has exactly what
 * it missed; nothing that was sent is lost or done twice.
 */
export class MooringSession {
  readonly #conversation = new Conversation();
  readonly #subscribers = new Set<() => void>();
  readonly #listeners: Listeners = { opened: new Set(), events: new Set(), failed: new Set() };
  readonly #binding: Binding;
  readonly #outbox: Outbox;
  #state: SessionState;

  constructor(private readonly order: SessionOrder) {
    this.#binding = new Binding(order, {
      opened: (opened) => this.#opened(opened),
      events: (events) => this.#received(events),
      changed: () => this.#refresh(),
      failed: (error) => this.#failed(error),
    });
    this.#outbox = new Outbox({
      kept: order.outbox,
      send: (request) => this.#deliver(request),
      isShown: (messageId) => this.#conversation.state.messages.some(({ id }) => id === messageId),
      onChange: () => this.#refresh(),
    });
    this.#state = { ...this.#conversation.state, connection: 'connecting', outbox: [] };
    void this.#begin();
  }

  /** The present state; the same object until something changes, as React's `useSyncExternalStore` wants it. */
  get state(): SessionState {
    return this.#state;
  }

  /** Is called after every change. @returns ends the subscription */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#subscribers.add(listener);
    return () => void this.#subscribers.delete(listener);
  };

  /** @returns ends it */
  on<Name extends keyof SessionEvents>(name: Name, listener: SessionEvents[Name]): () => void {
    this.#listeners[name].add(listener);
    return () => void this.#listeners[name].delete(listener);
  }

  /** Resolves once the session is bound. @throws MooringError it cannot be opened, or was left */
  opened(): Promise<void> {
    return this.#binding.bound();
  }

  /**
   * Resolves when the gateway has stored the message, however often the connection breaks until then. With a
   * storage it is sent by the next page where this one does not live to see it.
   * @throws MooringError the gateway refused it (it stands in the outbox as `failed`), or the session was left
   */
  send(text: string, options: SendOptions = {}): Promise<SendResult> {
    const { messageId: id = newId(), whenBusy } = options;
    return this.#outbox.add({ kind: 'message', id, text, ...(whenBusy && { whenBusy }) });
  }

  /** Has a user message answered anew. @throws MooringError as of {@link send}; `session_busy` while a turn runs */
  retry(options: RetryOptions = {}): Promise<SendResult> {
    return this.#outbox.add({ kind: 'retry', id: newId(), ...options });
  }

  /** Sends what the gateway refused once more. @param id of the outbox's entry */
  resend(id: string): Promise<SendResult> {
    return this.#outbox.again(id);
  }

  /** Forgets what the gateway refused. @param id of the outbox's entry */
  discard(id: string): void {
    this.#outbox.discard(id);
  }

  /**
   * Stops a turn: the running one, unless told which.
   * @returns whether it is or will be `cancelled`; false: it ended otherwise
   * @throws MooringError `turn_not_found`: none runs
   */
  async cancel(turnId?: string): Promise<{ turnId: string; cancelled: boolean }> {
    // By its id, so that a cancel whose answer was lost cannot hit the next turn when it is sent again.
    const running = this.#state.turns.find(({ state }) => state === 'running');
    const id = turnId ?? running?.turnId;
    return this.#binding.request('turn:cancel', id === undefined ? {} : { turnId: id });
  }

  /**
   * Puts a page of older messages before those that are there.
   * @param limit 1 to 100
   * @returns whether there are more
   */
  async loadOlder(limit: number = LIMITS.snapshotMessages): Promise<boolean> {
    const [first] = this.#state.messages;
    if (!first || !this.#state.hasMore) return false;
    const page = await this.#binding.request('session:history', { before: first.id, limit });
    this.#conversation.addHistory(first.id, page);
    this.#refresh();
    return this.#state.hasMore;
  }

  /** Stored messages, oldest first; they are not added to the state. */
  history(before?: string, limit?: number): Promise<{ messages: UIMessage[]; hasMore: boolean }> {
    return this.#binding.request('session:history', {
      ...(before !== undefined && { before }),
      ...(limit !== undefined && { limit }),
    });
  }

  /** Turns that start later are answered by this agent. @param agent an id */
  async switchAgent(agent: string): Promise<void> {
    await this.#binding.request('agent:switch', { agent });
  }

  /** Goes away. The session goes on without us: whatever runs is not cancelled, and waits for a return. */
  leave(): void {
    if (this.#state.connection === 'left') return;
    this.#binding.leave();
    this.#outbox.stop(closedError());
    this.order.onLeft();
    this.#refresh();
    this.#subscribers.clear();
  }

  /** Ends the session for everyone and for ever. */
  async close(): Promise<void> {
    try {
      await this.#binding.request('session:close', {});
    } catch (error) {
      // A close whose answer was lost: it is closed already.
      if (!(error instanceof MooringError) || error.code !== 'session_not_found') throw error;
    }
  }

  async #begin(): Promise<void> {
    try {
      await this.#binding.join();
      await this.#outbox.restore();
    } catch (error) {
      // No source of random numbers, for one: the caller's promises and the state tell.
      const message = error instanceof Error ? error.message : String(error);
      this.#binding.failed(new MooringError({ code: 'internal', message, retryable: false }));
    }
  }

  #deliver(request: OutgoingRequest): Promise<SendResult> {
    if (request.kind === 'retry') {
      const { id: retryId, messageId, text } = request;
      return this.#binding.request('turn:retry', {
        retryId,
        ...(messageId !== undefined && { messageId }),
        ...(text !== undefined && { text }),
      });
    }
    const { id: messageId, text, whenBusy } = request;
    return this.#binding.request('message:send', { messageId, text, ...(whenBusy && { whenBusy }) });
  }

  #opened(opened: OpenedSession): void {
    this.#conversation.applyOpened(opened);
    this.#outbox.settle({ all: !opened.recovered });
    this.#refresh();
    for (const listener of [...this.#listeners.opened]) listener(opened);
  }

  #received(events: readonly SessionEvent[]): void {
    this.#conversation.applyEvents(events);
    this.#outbox.settle();
    this.#refresh();
    for (const listener of [...this.#listeners.events]) listener(events);
  }

  #failed(error: MooringError): void {
    this.#refresh();
    for (const listener of [...this.#listeners.failed]) listener(error);
  }

  #refresh(): void {
    const { sessionId, connection, error } = this.#binding;
    const state: SessionState = {
      ...this.#conversation.state,
      ...(sessionId !== '' && { sessionId }),
      connection,
      ...(error && { error }),
      outbox: this.#outbox.items,
    };
    if (isSame(this.#state, state)) return;
    this.#state = state;
    for (const listener of [...this.#subscribers]) listener();
  }
}

function isSame(one: SessionState, other: SessionState): boolean {
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]) as Set<keyof SessionState>;
  return [...keys].every((key) => one[key] === other[key]);
}

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
class Binding implements Member {
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
    private readonly order: SessionOrder,
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
    this.#ask('session:open', this.openRequest(), (answer) => {
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
      this.#ask('session:leave', { sessionId: this.sessionId }, () => undefined);
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
        return new Promise<Ack<Requests[Name]['data']> | undefined>((resolve) =>
          this.#ask(name, named, resolve),
        );
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

  #ask<Name extends RequestName>(
    name: Name,
    payload: Requests[Name]['payload'],
    done: (answer: Ack<Requests[Name]['data']> | undefined) => void,
  ): void {
    this.order.connection.ask(name, payload, done);
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
