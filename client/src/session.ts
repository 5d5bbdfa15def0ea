import {
  LIMITS,
  type OpenedSession,
  type SendResult,
  type SessionEvent,
  type UIMessage,
  type UIMessageChunk,
  type WhenBusy,
} from '../../src/protocol.js';
import { Binding, type BindingOrder, type SessionConnection } from './binding.js';
import { Conversation, type ConversationState } from './conversation.js';
import { newId } from './credentials.js';
import { closedError, MooringError } from './errors.js';
import { Outbox, type Outgoing, type OutgoingRequest } from './outbox.js';
import type { Kept } from './storage.js';
import { turnStream } from './turn.stream.js';

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
  /** It was left: nothing more is told. */
  left: () => void;
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
export interface SessionOrder extends BindingOrder {
  outbox: Kept<OutgoingRequest[]>;
  onLeft(): void;
}

type Listeners = { [Name in keyof SessionEvents]: Set<SessionEvents[Name]> };

/**
 * One conversation. It connects, comes back after whatever happens to the connection, and then has exactly what
 * it missed; nothing that was sent is lost or done twice.
 */
export class MooringSession {
  readonly #conversation = new Conversation();
  readonly #subscribers = new Set<() => void>();
  readonly #listeners: Listeners = {
    opened: new Set(),
    events: new Set(),
    failed: new Set(),
    left: new Set(),
  };
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
   * A turn's answer as one stream of chunks, from its start to its end: it goes on across reconnects, without a gap
   * or a repetition. It is closed when the turn has ended, with a `finish` or an `abort` chunk before; a turn that
   * failed ends it with a MooringError of the turn's code. Aborting or cancelling the stream closes it; the turn goes
   * on.
   * @param turnId of an open turn, of one that was just accepted, or of one whose answer is among the messages
   */
  stream(turnId: string, { signal }: { signal?: AbortSignal } = {}): ReadableStream<UIMessageChunk> {
    return turnStream(this, (id) => this.#conversation.answerOf(id), turnId, signal);
  }

  /** Whether anything of that turn is among what the gateway sent: it is open, it ended, or its answer is stored. */
  knows(turnId: string): boolean {
    const { turns, ends } = this.#state;
    if (ends[turnId] || turns.some((turn) => turn.turnId === turnId)) return true;
    return this.#conversation.answerOf(turnId) !== undefined;
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
    for (const listener of [...this.#listeners.left]) listener();
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
