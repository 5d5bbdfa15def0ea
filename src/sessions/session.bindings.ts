import { Injectable, Logger } from '@nestjs/common';
import { LIMITS, type EventPacket, type Position } from '../protocol.js';
import type { Connection } from './connection.js';
import { RequestError } from './request.error.js';
import { SessionFeed } from './session.feed.js';
import { sessionHash } from './session.hash.js';
import { SessionStore, type Reading } from './session.store.js';

/**
 * A socket's cursor on a session's log. `live`: the next packet that follows the cursor is sent at once.
 * `reading`: the log is being read from the cursor; live packets are left to that reading.
 * `held`: the socket holds too much unsent; the log is read when it has drained.
 */
interface Binding {
  connection: Connection;
  sessionId: string;
  state: 'live' | 'reading' | 'held';
  cursor: Position;
  /** The newest seq that was published while it was not live. */
  published: number;
  /** There may be more than was published here, or another history: only the log can tell. */
  doubtful: boolean;
}

/** How one socket stands to a session, for who looks on. */
export interface SocketCursor {
  state: Binding['state'];
  /** What it was sent, and thus has or will have. */
  position: Position;
  unsentBytes: number;
}

type PresenceListener = (sessionId: string) => void;

/** Which sockets are bound to which sessions, and the delivery of events to them. */
@Injectable()
export class SessionBindings {
  readonly #logger = new Logger(SessionBindings.name);
  readonly #bySession = new Map<string, Map<string, Binding>>();
  readonly #byConnection = new Map<string, Set<string>>();
  readonly #attached: PresenceListener[] = [];
  readonly #detached: PresenceListener[] = [];
  /** Events delivered: a packet to two sockets counts twice. */
  sentEvents = 0;
  catchUps = 0;

  constructor(
    private readonly store: SessionStore,
    private readonly feed: SessionFeed,
  ) {
    feed.onEvents((packet) => this.#deliver(packet));
    feed.onGap((sessionId) => this.#readAgain(sessionId));
  }

  onAttached(listener: PresenceListener): void {
    this.#attached.push(listener);
  }

  /** Called when a session's last socket here was unbound. */
  onDetached(listener: PresenceListener): void {
    this.#detached.push(listener);
  }

  isAttached(sessionId: string): boolean {
    return this.#bySession.has(sessionId);
  }

  isBound(connection: Connection, sessionId: string): boolean {
    return this.#byConnection.get(connection.id)?.has(sessionId) ?? false;
  }

  socketsOf(sessionId: string): number {
    return this.#bySession.get(sessionId)?.size ?? 0;
  }

  cursorsOf(sessionId: string): SocketCursor[] {
    const bindings = this.#bySession.get(sessionId)?.values() ?? [];
    return [...bindings].map(({ connection: { unsentBytes }, state, cursor: position }) => ({
      state,
      position,
      unsentBytes,
    }));
  }

  /** Of all sockets that are bound to anything. It looks at each of them. */
  get unsentBytes(): number {
    let bytes = 0;
    for (const [connectionId, sessions] of this.#byConnection) {
      const [sessionId = ''] = sessions;
      bytes += this.#bySession.get(sessionId)?.get(connectionId)?.connection.unsentBytes ?? 0;
    }
    return bytes;
  }

  /**
   * Reads what a client lacks and binds its socket, as one step: `deliver` is called in the same tick in
   * which the cursor is set, before any later packet is sent.
   */
  async bind(
    connection: Connection,
    sessionId: string,
    position: Position | undefined,
    deliver: (reading: Reading) => void,
  ): Promise<void> {
    const held = this.#find(connection, sessionId);
    const binding = held ?? this.#add(connection, sessionId);
    binding.state = 'reading';
    binding.doubtful = false;
    let reading: Reading | undefined;
    try {
      // Also for a further socket: nothing may be read before the subscription of the first one stands.
      if (!held) await this.feed.subscribe(sessionId);
      reading = await this.store.read(sessionId, position);
    } catch (error) {
      if (held) this.#resume(binding);
      else await this.unbind(connection, sessionId);
      throw error;
    }
    // The transport may have closed, or the session ended, while the log was read.
    if (!reading || this.#find(connection, sessionId) !== binding) {
      // One that is held still has the session's last events to come.
      if (held && this.#find(connection, sessionId) === held) this.#resume(held);
      else await this.unbind(connection, sessionId);
      throw RequestError.sessionNotFound();
    }
    binding.cursor = reading.position;
    awaitRest(binding, reading);
    deliver(reading);
    this.#resume(binding);
  }

  async unbind(connection: Connection, sessionId: string): Promise<void> {
    const bindings = this.#bySession.get(sessionId);
    if (!bindings?.delete(connection.id)) return;
    const sessions = this.#byConnection.get(connection.id);
    sessions?.delete(sessionId);
    if (sessions?.size === 0) this.#byConnection.delete(connection.id);
    if (bindings.size > 0) return;
    this.#bySession.delete(sessionId);
    for (const listener of this.#detached) listener(sessionId);
    await this.feed.unsubscribe(sessionId);
  }

  async unbindAll(connection: Connection): Promise<void> {
    const sessions = [...(this.#byConnection.get(connection.id) ?? [])];
    await Promise.all(sessions.map((sessionId) => this.unbind(connection, sessionId)));
  }

  /** The socket took what was unsent: what it was not sent meanwhile is read from the log. */
  drained(connection: Connection): void {
    for (const sessionId of this.#byConnection.get(connection.id) ?? []) {
      const binding = this.#find(connection, sessionId);
      if (binding?.state === 'held') this.#resume(binding);
    }
  }

  #find(connection: Connection, sessionId: string): Binding | undefined {
    return this.#bySession.get(sessionId)?.get(connection.id);
  }

  #add(connection: Connection, sessionId: string): Binding {
    // It may have closed while the session was looked for; nobody would ever unbind it.
    if (!connection.open) throw RequestError.sessionNotFound();
    const sessions = this.#byConnection.get(connection.id) ?? new Set();
    const bindings = this.#bySession.get(sessionId) ?? new Map<string, Binding>();
    if (sessions.size >= LIMITS.sessionsPerSocket) {
      throw new RequestError(
        'too_many_sessions',
        `A socket holds up to ${LIMITS.sessionsPerSocket} sessions: leave one first.`,
      );
    }
    if (bindings.size >= LIMITS.socketsPerSession) {
      throw new RequestError('too_many_sessions', `A session has up to ${LIMITS.socketsPerSession} sockets.`);
    }
    const first = bindings.size === 0;
    const binding: Binding = {
      connection,
      sessionId,
      state: 'reading',
      cursor: { epoch: '', seq: 0 },
      published: 0,
      doubtful: false,
    };
    bindings.set(connection.id, binding);
    sessions.add(sessionId);
    this.#bySession.set(sessionId, bindings);
    this.#byConnection.set(connection.id, sessions);
    if (first) for (const listener of this.#attached) listener(sessionId);
    return binding;
  }

  #deliver(packet: EventPacket): void {
    const bindings = this.#bySession.get(packet.sessionId);
    if (!bindings) return;
    for (const binding of bindings.values()) {
      if (binding.state === 'live' && follows(binding.cursor, packet) && !binding.connection.congested) {
        this.#send(binding, packet);
      } else {
        // Two nodes' packets may come in another order than that of the log.
        binding.published = Math.max(binding.published, packet.to);
        if (packet.epoch !== binding.cursor.epoch) binding.doubtful = true;
        if (binding.state === 'live') this.#resume(binding);
      }
    }
    if (packet.events.at(-1)?.type === 'session')
      void this.#unbindEnded(packet.sessionId, [...bindings.values()]);
  }

  #readAgain(sessionId: string): void {
    for (const binding of this.#bySession.get(sessionId)?.values() ?? []) {
      binding.doubtful = true;
      if (binding.state === 'live') this.#resume(binding);
    }
  }

  async #unbindEnded(sessionId: string, bindings: Binding[]): Promise<void> {
    try {
      for (const { connection } of bindings) await this.unbind(connection, sessionId);
    } catch (error) {
      this.#logger.warn({
        session: sessionHash(sessionId),
        msg: `unbinding an ended session failed: ${String(error)}`,
      });
    }
  }

  #send(binding: Binding, packet: EventPacket): void {
    binding.connection.send(packet);
    binding.cursor = { epoch: packet.epoch, seq: packet.to };
    this.sentEvents += packet.events.length;
  }

  /** Goes live where nothing was published meanwhile; otherwise holds, or reads the log from the cursor. */
  #resume(binding: Binding): void {
    if (binding.connection.congested) binding.state = 'held';
    else if (!binding.doubtful && binding.published <= binding.cursor.seq) binding.state = 'live';
    else void this.#catchUp(binding);
  }

  async #catchUp(binding: Binding): Promise<void> {
    const { connection, sessionId, cursor } = binding;
    binding.state = 'reading';
    binding.doubtful = false;
    this.catchUps += 1;
    try {
      const reading = await this.store.read(sessionId, cursor);
      if (this.#find(connection, sessionId) !== binding || binding.cursor !== cursor) return;
      // What it lacks is no longer there to be sent on: its client has to come back for a snapshot.
      if (!reading?.recovered) return connection.reconnect('history was trimmed');
      // Another session of this socket was faster: what was read is read again when it has drained.
      if (connection.congested) return this.#resume(binding);
      const { epoch, seq } = reading.position;
      if (seq > cursor.seq) {
        this.#send(binding, { sessionId, epoch, from: cursor.seq, to: seq, events: reading.events });
      }
      awaitRest(binding, reading);
      this.#resume(binding);
    } catch (error) {
      this.#logger.warn({
        session: sessionHash(sessionId),
        msg: `catching up failed: ${String(error)}`,
      });
      connection.reconnect('the store is unavailable');
    }
  }
}

/** Where a reading stops before the end of the log, the binding has something to catch up with. */
function awaitRest(binding: Binding, { rest, position }: Reading): void {
  if (rest) binding.published = Math.max(binding.published, position.seq + 1);
}

function follows(cursor: Position, packet: EventPacket): boolean {
  return packet.epoch === cursor.epoch && packet.from === cursor.seq;
}
