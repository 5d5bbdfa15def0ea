import { randomUUID } from 'node:crypto';
import type {
  Ack,
  EventPacket,
  OpenedSession,
  OpenRequest,
  Position,
  RequestName,
  Requests,
  SessionEvent,
} from '../../src/protocol.js';
import { until } from './channel.js';
import { TestClient, type ClientOptions } from './client.js';
import { applyEvents, applyOpened, EMPTY_CONVERSATION, type ConversationView } from './conversation.js';

export interface Credentials {
  sessionId: string;
  key: string;
}

/** Where a guest stands: `away` from its session until it asks for it again. */
type Standing = 'bound' | 'opening' | 'away';

/**
 * A client of one session that resumes as the contract teaches, and notes whatever it was not promised: a gap,
 * something twice, an event after it left, a second end of a turn.
 */
export class Guest {
  view: ConversationView = EMPTY_CONVERSATION;
  position?: Position;
  /** Whether what it shows begins later than the session does. */
  hasMore = false;
  readonly complaints: string[] = [];
  /** How turns ended that ended before its eyes, since it last began anew. */
  readonly ends = new Map<string, string>();
  /** Messages whose acknowledgement came. */
  readonly accepted: { messageId: string; text: string; turnId: string }[] = [];
  #standing: Standing = 'opening';
  #client: TestClient;
  /** What it asked for last, and from where: the answer to anything older is of no use. */
  #question: { position?: Position } = {};
  #pending = new Set<symbol>();

  constructor(
    private readonly url: string,
    readonly credentials: Credentials,
    private readonly transports: ClientOptions['transports'],
  ) {
    this.#client = this.#connect();
  }

  get engineId(): string {
    return (this.#client.socket.io as unknown as { engine?: { id?: string } }).engine?.id ?? '';
  }

  get bound(): boolean {
    return this.#standing === 'bound';
  }

  /** Whether it waits for an answer. */
  get waits(): boolean {
    return this.#pending.size > 0;
  }

  /** Loses everything, as a page that is loaded again. */
  reload(): void {
    this.#client.socket.disconnect();
    this.view = EMPTY_CONVERSATION;
    this.position = undefined;
    this.ends.clear();
    this.#pending = new Set();
    this.#standing = 'opening';
    this.#client = this.#connect();
  }

  vanish(): void {
    this.#client.vanish();
  }

  leave(): void {
    if (this.#standing === 'away') return;
    const { connected } = this.#client.socket;
    this.#standing = 'away';
    // One that is not connected is not bound, and its handshake names no session from now on.
    if (connected) this.ask('session:leave', { sessionId: this.credentials.sessionId });
  }

  return(): void {
    if (this.#standing !== 'away') return;
    this.#standing = 'opening';
    if (this.#client.socket.connected) this.#open();
  }

  send(text: string, more: Partial<Requests['message:send']['payload']> = {}): void {
    const { sessionId } = this.credentials;
    const message = { sessionId, messageId: randomUUID(), text, ...more };
    this.#ask('message:send', message, ({ messageId, turnId }) => {
      this.accepted.push({ messageId, text, turnId });
    });
  }

  /** Sends a request of which only the effects matter. */
  ask<Name extends RequestName>(name: Name, payload: Requests[Name]['payload']): void {
    this.#ask(name, payload, () => undefined);
  }

  /** Resolves when it is where it wants to be. */
  settled(): Promise<void> {
    return until(() => this.#standing !== 'opening', 'a guest to be bound');
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  toString(): string {
    const turns = this.view.turns.map(({ state }) => state).join('+') || 'idle';
    const waits = [...this.#pending].map((id) => id.description).join('+') || 'nothing';
    return `${this.#standing} at ${this.position?.seq}, ${turns}, waits for ${waits}`;
  }

  #connect(): TestClient {
    let question = {};
    let named = false;
    const client = new TestClient(this.url, {
      transports: this.transports,
      reconnection: true,
      session: () => {
        named = this.#standing !== 'away';
        if (!named) return undefined;
        this.#standing = 'opening';
        question = this.#asks();
        return this.#openRequest();
      },
    });
    const present = <T>(take: (value: T) => void) => {
      return (value: T): void => {
        if (client === this.#client) take(value);
      };
    };
    let connected = false;
    client.socket.on(
      'connect',
      present<void>(() => {
        // Socket.IO's client hands packets over in the next tick: a CONNECT that was read just before its engine
        // closed connects the socket to nothing. What it asks then is lost, and no 'disconnect' says so.
        if (connected) this.#pending = new Set();
        connected = true;
        // It may have come back to the session between its handshake, which named none, and its connect; or have
        // asked for it while it was connected to nothing.
        if (this.#standing === 'opening' && (!named || question !== this.#question)) this.#open();
      }),
    );
    client.socket.on(
      'disconnect',
      present<unknown>(() => {
        connected = false;
        // What was on its way is answered no more; what is buffered until the next connect is asked after this.
        this.#pending = new Set();
      }),
    );
    client.socket.on('session:opened', present((opened: OpenedSession) => this.#adopt(opened, question))); // prettier-ignore
    client.socket.on('session:events', present((packet: EventPacket) => this.#receive(packet))); // prettier-ignore
    client.socket.on(
      'session:failed',
      present(({ error }) => this.#complain(`failed: ${error.code}`)),
    );
    return client;
  }

  #open(): void {
    const question = this.#asks();
    this.#ask('session:open', this.#openRequest(), (opened) => this.#adopt(opened, question));
  }

  #asks(): { position?: Position } {
    this.#question = { position: this.position };
    return this.#question;
  }

  #openRequest(): OpenRequest {
    return { ...this.credentials, create: true, position: this.position };
  }

  /** What an answer brings is applied in the callback: events may follow at once. */
  #ask<Name extends RequestName>(
    name: Name,
    payload: Requests[Name]['payload'],
    done: (data: Requests[Name]['data']) => void,
  ): void {
    const pending = this.#pending;
    const id = Symbol(name);
    pending.add(id);
    this.#client.socket.emit(
      name as 'session:open',
      payload as OpenRequest,
      (answer: Ack<Requests[Name]['data']>) => {
        pending.delete(id);
        if (pending !== this.#pending) return;
        if (answer.ok) done(answer.data);
        else if (name === 'session:open' || answer.error.code === 'internal')
          this.#complain(`${name}: ${answer.error.message}`);
      },
    );
  }

  #adopt(opened: OpenedSession, question: { position?: Position }): void {
    if (this.#standing === 'away' || question !== this.#question) return;
    const { position, recovered, events } = opened;
    if (recovered) this.#checkReplay(question.position, opened);
    else {
      this.ends.clear();
      this.hasMore = opened.hasMore;
    }
    this.#note(events);
    this.view = applyOpened(this.view, opened);
    this.position = position;
    this.#standing = 'bound';
  }

  #checkReplay(from: Position | undefined, { position, messages, events }: OpenedSession): void {
    if (!from || from.epoch !== position.epoch) return this.#complain('recovered, but from where?');
    if (messages.length > 0) this.#complain('recovered, and yet there are messages');
    const seqs = [from.seq, ...events.map(({ seq }) => seq)];
    const rises = seqs.every((seq, index) => index === 0 || seq > (seqs[index - 1] ?? 0));
    if (!rises || (seqs.at(-1) ?? 0) > position.seq) this.#complain(`replayed ${seqs.join(' ')}`);
  }

  #receive({ epoch, from, to, events }: EventPacket): void {
    // Until it left for the server, too, and until its return is answered, which holds what comes meanwhile.
    if (this.#standing !== 'bound') return;
    const { position } = this;
    if (position?.epoch !== epoch || position.seq !== from || to <= from || events.length === 0) {
      this.#complain(`${JSON.stringify(position)} was followed by ${epoch} ${from} to ${to}`);
    }
    this.#note(events);
    this.view = applyEvents(this.view, events);
    this.position = { epoch, seq: to };
  }

  #note(events: readonly SessionEvent[]): void {
    for (const event of events) {
      if (event.type !== 'turn' || event.state === 'queued' || event.state === 'running') continue;
      const known = this.ends.get(event.turnId);
      if (known) this.#complain(`turn ${event.turnId} ended twice: ${known}, ${event.state}`);
      this.ends.set(event.turnId, event.state);
    }
  }

  #complain(what: string): void {
    this.complaints.push(what);
  }
}
