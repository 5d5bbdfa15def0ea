import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import type {
  Ack,
  ClientEvents,
  EventPacket,
  OpenedSession,
  OpenRequest,
  RequestName,
  Requests,
  ServerEvents,
} from '../../src/protocol.js';
import { closedError, MooringError } from './errors.js';

/** How long an acknowledgement may take before the request is sent again. */
const ANSWER_TIMEOUT_MS = 10_000;
/** How soon a gateway that said "not now" is asked again. */
const RETRY_MS = 2_000;
/** The first pause before a reconnect; Socket.IO doubles it up to 5 s, and varies it by half. */
const RECONNECT_MS = 500;

/**
 * `refused`: the gateway turned the connection away for good (a bad token); `connect()` tries again.
 */
export type ConnectionState = 'connecting' | 'connected' | 'reconnecting' | 'refused' | 'closed';

export interface ConnectionOptions {
  /** For a gateway that wants one. A function is asked at every connect, so that the token may change. */
  token?: string | (() => string | undefined | Promise<string | undefined>);
  /** Handed to socket.io-client, `auth` aside. */
  socket?: Partial<Omit<ManagerOptions & SocketOptions, 'auth'>>;
}

/** A session's side of the connection. All calls are synchronous: what they set is set before the next packet. */
export interface Member {
  readonly sessionId: string;
  openRequest(): OpenRequest;
  /** The answer to the handshake's open request. */
  opened(opened: OpenedSession): void;
  failed(error: MooringError): void;
  received(packet: EventPacket): void;
  /** The connection is there and did not name the session: it has to be opened. */
  reopen(): void;
  /** Whatever was bound is not any more. */
  unbound(): void;
}

/** A browser's page; elsewhere it has nothing of this. */
const page = globalThis as Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>;

/** An emit of whichever request: socket.io-client's own type has one overload for each name. */
interface Answered {
  emit(name: string, payload: unknown, done: (lost: Error | null, answer: Ack<unknown>) => void): void;
}

/**
 * One socket for all sessions of a client. At every connect the handshake names them with their positions, so
 * that a reconnect resumes them without a further round trip.
 */
export class Connection {
  readonly #socket: Socket<ServerEvents, ClientEvents>;
  readonly #members = new Map<string, Member>();
  readonly #listeners = new Set<() => void>();
  /** Gives up the requests that are under way. */
  readonly #underway = new Set<() => void>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  /** The members that the last handshake named. */
  #offered = new Set<string>();
  #handshakes = 0;
  #state: ConnectionState = 'connecting';
  #error?: MooringError;

  constructor(
    url: string,
    private readonly options: ConnectionOptions = {},
  ) {
    const socket: Socket<ServerEvents, ClientEvents> = io(url, {
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      reconnectionDelay: RECONNECT_MS,
      ...options.socket,
      auth: (give) => void this.#shake(give),
    });
    this.#socket = socket;
    socket.on('connect', () => this.#connected());
    socket.on('disconnect', () => this.#disconnected());
    socket.on('connect_error', (error) => this.#refused(error));
    socket.on('session:opened', (opened) => this.#opened(opened));
    socket.on('session:failed', ({ sessionId, error }) => {
      if (sessionId !== undefined) this.#members.get(sessionId)?.failed(new MooringError(error));
    });
    socket.on('session:events', (packet) => this.#members.get(packet.sessionId)?.received(packet));
    socket.on('server:draining', ({ graceMs }) => this.#leaveWithin(graceMs));
    page.addEventListener?.('online', this.#online);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Why it was refused, or why the last attempt failed; undefined while it stands. */
  get error(): MooringError | undefined {
    return this.#error;
  }

  /** @returns ends the subscription */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Resolves once it stands. @throws MooringError it was refused or closed */
  connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): boolean => {
        if (this.#state === 'connected') resolve();
        else if (this.#state === 'closed') reject(closedError());
        else if (this.#state === 'refused') reject(this.#error ?? closedError());
        else return false;
        return true;
      };
      if (look()) return;
      const unsubscribe = this.subscribe(() => look() && unsubscribe());
    });
  }

  /** From now on every handshake names this session; while connected it is opened at once. */
  join(member: Member): void {
    this.#members.set(member.sessionId, member);
    if (this.#state === 'connected') member.reopen();
    else if (this.#state === 'refused') member.failed(this.#error as MooringError);
  }

  forget(member: Member): void {
    if (this.#members.get(member.sessionId) === member) this.#members.delete(member.sessionId);
  }

  /**
   * Sends a request.
   * @param done runs as the answer comes, before the next packet is looked at; undefined: none came, so that
   *   nobody knows whether it was done
   */
  ask<Name extends RequestName>(
    name: Name,
    payload: Requests[Name]['payload'],
    done: (answer: Ack<Requests[Name]['data']> | undefined) => void,
  ): void {
    if (!this.#socket.connected) return done(undefined);
    const settle = (answer?: Ack<Requests[Name]['data']>): void => {
      if (this.#underway.delete(giveUp)) done(answer);
    };
    const giveUp = (): void => settle();
    this.#underway.add(giveUp);
    const socket = this.#socket.timeout(ANSWER_TIMEOUT_MS) as unknown as Answered;
    socket.emit(name, payload, (lost, answer) => {
      settle(lost ? undefined : (answer as Ack<Requests[Name]['data']>));
    });
  }

  /** Drops the transport in the middle of whatever happens, as a lost network does. It comes back by itself. */
  drop(awayMs?: number): void {
    const manager = this.#socket.io;
    if (awayMs !== undefined) {
      const { reconnectionDelay = RECONNECT_MS, randomizationFactor = 0.5 } = this.options.socket ?? {};
      manager.reconnectionDelay(awayMs).randomizationFactor(0);
      this.#socket.once('connect', () =>
        manager.reconnectionDelay(reconnectionDelay).randomizationFactor(randomizationFactor),
      );
    }
    manager.engine?.close();
  }

  /** Tries again after a refusal. */
  connect(): void {
    if (this.#state !== 'refused') return;
    this.#become('reconnecting');
    this.#socket.connect();
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    page.removeEventListener?.('online', this.#online);
    this.#members.clear();
    this.#become('closed');
    this.#socket.disconnect();
    this.#giveUpRequests();
    this.#listeners.clear();
  }

  /** A network that is there again is used at once, and not after the pause that was begun without it. */
  readonly #online = (): void => {
    if (this.#state !== 'connecting' && this.#state !== 'reconnecting') return;
    this.#socket.disconnect().connect();
  };

  #opened(opened: OpenedSession): void {
    const { sessionId } = opened;
    const member = this.#members.get(sessionId);
    // Left after the handshake had named it: the gateway must not take us for somebody who reads along.
    if (!member) this.ask('session:leave', { sessionId }, () => undefined);
    else member.opened(opened);
  }

  async #shake(give: (auth: object) => void): Promise<void> {
    this.#handshakes += 1;
    const handshake = this.#handshakes;
    const token = await this.#token(() => handshake === this.#handshakes && this.#state !== 'closed');
    // A token that took its time may come when this attempt is over.
    if (handshake !== this.#handshakes) return;
    this.#offered = new Set(this.#members.keys());
    // Positions are those of now: between this and the bind nothing else is received.
    const session = [...this.#members.values()].map((member) => member.openRequest());
    give({ ...(token !== undefined && { token }), session });
  }

  /** A token that cannot be had is asked for again, as long as somebody waits for it. */
  async #token(isWaited: () => boolean): Promise<string | undefined> {
    const { token } = this.options;
    if (typeof token !== 'function') return token;
    for (;;) {
      try {
        return await token();
      } catch (error) {
        if (!isWaited()) return undefined;
        const message = error instanceof Error ? error.message : String(error);
        this.#error = new MooringError({ code: 'unauthorized', message, retryable: true });
        this.#tell();
        await new Promise<void>((resolve) => this.#later(resolve, RETRY_MS));
        if (!isWaited()) return undefined;
      }
    }
  }

  #connected(): void {
    // A transport may die between the server's CONNECT and this: then the next connect comes without a
    // disconnect between, and what was sent meanwhile went nowhere.
    this.#giveUpRequests();
    for (const member of this.#members.values()) member.unbound();
    this.#error = undefined;
    this.#become('connected');
    for (const [sessionId, member] of this.#members) if (!this.#offered.has(sessionId)) member.reopen();
  }

  #disconnected(): void {
    this.#giveUpRequests();
    for (const member of this.#members.values()) member.unbound();
    if (this.#state !== 'closed') this.#become('reconnecting');
  }

  /** Socket.IO tries again by itself where the gateway was out of reach, but not where it said no. */
  #refused(error: Error & { data?: { code?: 'unauthorized' | 'draining' } }): void {
    if (this.#state === 'closed') return;
    const code = error.data?.code ?? 'unavailable';
    const final = code === 'unauthorized';
    this.#error = new MooringError({ code, message: error.message, retryable: !final });
    if (final) {
      this.#become('refused');
      for (const member of [...this.#members.values()]) member.failed(this.#error);
      return;
    }
    this.#tell();
    if (!this.#socket.active) this.#later(() => this.#socket.connect(), RETRY_MS * (0.5 + Math.random()));
  }

  /** Not all clients of a node at once. */
  #leaveWithin(graceMs: number): void {
    const engine = this.#socket.io.engine;
    this.#later(() => engine === this.#socket.io.engine && engine.close(), Math.random() * graceMs);
  }

  #giveUpRequests(): void {
    for (const giveUp of [...this.#underway]) giveUp();
  }

  #later(task: () => void, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      task();
    }, ms);
    this.#timers.add(timer);
  }

  #become(state: ConnectionState): void {
    if (state === this.#state || this.#state === 'closed') return;
    this.#state = state;
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
