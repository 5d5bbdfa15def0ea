import { io } from '/socket.io/socket.io.esm.min.js';

/**
 * @typedef {import('../src/protocol.js').Position} Position
 * @typedef {import('../src/protocol.js').OpenRequest} OpenRequest
 * @typedef {import('../src/protocol.js').OpenedSession} OpenedSession
 * @typedef {import('../src/protocol.js').SessionEvent} SessionEvent
 *
 * @typedef {object} Session what opens it, and makes it where it is not there yet
 * @property {string} sessionId
 * @property {string} key
 * @property {string} [agent] the agent to make it with
 *
 * @typedef {'connecting' | 'connected' | 'cut' | 'reconnecting'} LinkState
 *
 * @typedef {object} Handlers
 * @property {(state: LinkState) => void} onState
 * @property {(opened: OpenedSession, returned: boolean) => void} onOpened `returned`: the connection was away
 * @property {(events: SessionEvent[]) => void} onEvents the next ones of the log, in order, each once
 * @property {(error: RequestError) => void} onFailed the session could not be opened, or the server refuses us
 */

/** How long a request may take; also while the connection is away. */
const ANSWER_TIMEOUT_MS = 10_000;
/** How long a connection that was cut on purpose stays away: long enough to see that the text stops. */
const CUT_MS = 2_000;
const RETRY_MS = 2_000;
const RECONNECT_MS = 500;

/** Ends a request that got no answer, or an error for one. */
export class RequestError extends Error {
  /** @param {{code: string, message: string, retryable?: boolean, retryAfterMs?: number}} error */
  constructor({ code, message, retryable = false, retryAfterMs }) {
    super(message);
    /** The contract's codes, and `lost`: no answer came, so that nobody knows whether it was done. */
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * A session, and a socket that stays bound to it. All of resuming is here: `auth` is asked at every connect,
 * so that it gives the present position, and the server answers with what came after it.
 */
export class SessionLink {
  #socket;
  #handlers;
  /** @type {Session} */
  #session;
  /** @type {Position | undefined} */
  #position;
  /** @type {LinkState} */
  #state = 'connecting';
  /** The session that the last handshake named. */
  #offered;
  #reopening = false;

  /**
   * @param {Session} session
   * @param {Handlers} handlers
   */
  constructor(session, handlers) {
    this.#session = session;
    this.#handlers = handlers;
    this.#socket = io({
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      reconnectionDelay: RECONNECT_MS,
      auth: (give) => {
        this.#offered = this.sessionId;
        give({ session: this.#openRequest() });
      },
    });
    this.#socket.on('connect', () => this.#offered !== this.sessionId && this.reopen());
    this.#socket.on('session:opened', (opened) => this.#adopt(opened));
    this.#socket.on('session:failed', ({ sessionId, error }) => this.#fail(sessionId, error));
    this.#socket.on('session:events', (packet) => this.#receive(packet));
    this.#socket.on('server:draining', ({ graceMs }) => this.#leaveWithin(graceMs));
    this.#socket.on('disconnect', () => this.#become(this.#state === 'cut' ? 'cut' : 'reconnecting'));
    this.#socket.on('connect_error', (error) => this.#refused(error));
  }

  get sessionId() {
    return this.#session.sessionId;
  }

  /** Whether the session is bound, so that a request goes out at once. */
  get bound() {
    return this.#state === 'connected';
  }

  /** Leaves the present session, which goes on without us, for another one. */
  switchTo(session) {
    if (this.bound) this.request('session:leave', { sessionId: this.sessionId }).catch(() => {});
    this.#session = session;
    this.#position = undefined;
    this.reopen();
  }

  /**
   * Sends a request. While the connection is away it waits for the next one.
   * @returns {Promise<any>} the acknowledgement's data
   * @throws {RequestError}
   */
  request(name, payload) {
    return new Promise((resolve, reject) => {
      this.#ask(name, payload, (error, data) => (error ? reject(error) : resolve(data)));
    });
  }

  /** Drops the connection in the middle of whatever happens. It comes back by itself. */
  cut() {
    if (!this.bound) return;
    this.#become('cut');
    const manager = this.#socket.io;
    manager.reconnectionDelay(CUT_MS).randomizationFactor(0);
    this.#socket.once('connect', () => manager.reconnectionDelay(RECONNECT_MS).randomizationFactor(0.5));
    manager.engine.close();
  }

  /** @returns {OpenRequest} */
  #openRequest() {
    return { ...this.#session, create: true, position: this.#position };
  }

  /** The callback runs as the answer comes: what it sets is set before the next packet is looked at. */
  #ask(name, payload, done) {
    this.#socket.timeout(ANSWER_TIMEOUT_MS).emit(name, payload, (lost, answer) => {
      if (lost) done(new RequestError({ code: 'lost', message: 'The server did not answer.' }));
      else if (answer.ok) done(undefined, answer.data);
      else done(new RequestError(answer.error));
    });
  }

  /** A packet is what we have, what comes next, or the sign that something is missing. */
  #receive({ sessionId, epoch, from, to, events }) {
    if (sessionId !== this.sessionId || !this.#position || this.#reopening) return;
    const known = this.#position.epoch === epoch ? this.#position.seq : undefined;
    if (known !== undefined && to <= known) return;
    if (known !== from) return this.reopen();
    this.#position = { epoch, seq: to };
    this.#handlers.onEvents(events);
  }

  /** @param {OpenedSession} opened */
  #adopt(opened) {
    if (opened.sessionId !== this.sessionId) return;
    this.#session = { sessionId: opened.sessionId, key: this.#session.key };
    this.#position = opened.position;
    const returned = this.#state === 'reconnecting' || this.#state === 'cut';
    this.#become('connected');
    this.#handlers.onOpened(opened, returned);
  }

  /** Asks for what came after the present position. A connection that is yet to come does so by itself. */
  reopen() {
    if (this.#reopening || !this.#socket.connected) return;
    this.#reopening = true;
    const request = this.#openRequest();
    const isCurrent = () => request.sessionId === this.sessionId && request.position === this.#position;
    this.#ask('session:open', request, (error, opened) => {
      this.#reopening = false;
      // An answer to what is no longer the question would be applied twice, or to another session.
      if (!isCurrent() || error?.code === 'lost') this.reopen();
      else if (error) this.#fail(request.sessionId, error);
      else this.#adopt(opened);
    });
  }

  #fail(sessionId, error) {
    if (sessionId !== undefined && sessionId !== this.sessionId) return;
    const failure = error instanceof RequestError ? error : new RequestError(error);
    if (failure.retryable) setTimeout(() => this.reopen(), failure.retryAfterMs ?? RETRY_MS);
    this.#handlers.onFailed(failure);
  }

  /** Socket.IO tries again by itself where the server was out of reach, but not where it said no. */
  #refused(error) {
    this.#become(this.#state === 'connecting' ? 'connecting' : 'reconnecting');
    if (this.#socket.active) return;
    const code = error.data?.code ?? 'internal';
    const retryable = code !== 'unauthorized';
    if (retryable) setTimeout(() => this.#socket.connect(), RETRY_MS);
    this.#handlers.onFailed(new RequestError({ code, message: error.message, retryable }));
  }

  /** Not all clients at once. */
  #leaveWithin(graceMs) {
    setTimeout(() => this.#socket.connected && this.#socket.io.engine.close(), Math.random() * graceMs);
  }

  #become(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#handlers.onState(state);
  }
}
