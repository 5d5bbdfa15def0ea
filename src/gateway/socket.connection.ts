import type { Server, Socket } from 'socket.io';
import { LIMITS, type ClientEvents, type EventPacket, type ServerEvents } from '../protocol.js';
import type { Connection, Principal } from '../sessions/connection.js';

export interface SocketData {
  connection: SocketConnection;
}
export type GatewayServer = Server<ClientEvents, ServerEvents, Record<string, never>, SocketData>;
export type ClientSocket = Socket<ClientEvents, ServerEvents, Record<string, never>, SocketData>;
type Transport = ClientSocket['conn'];

/**
 * A Socket.IO socket as sessions see it. Counts what was handed to the transport and is not yet written: a
 * client that does not read must not make the process hold everything that is sent to it.
 */
export class SocketConnection implements Connection {
  readonly id: string;
  onDrained: () => void = () => undefined;
  #unsent = 0;
  #writing = 0;
  #stalled?: NodeJS.Timeout;
  #expiry?: NodeJS.Timeout;

  constructor(
    private readonly socket: ClientSocket,
    readonly principal: Principal,
  ) {
    this.id = socket.id;
    const { conn } = socket;
    conn.on('packetCreate', ({ data }) => (this.#unsent += sizeOf(data)));
    conn.on('flush', () => {
      this.#writing = this.#unsent;
      // Engine.IO's own 'drain' says only that the transport was handed the packets; the transport's says
      // that they were written.
      conn.transport.once('drain', () => this.#drained());
    });
    conn.once('close', () => this.#closed());
  }

  get open(): boolean {
    return this.socket.connected;
  }

  get unsentBytes(): number {
    return this.#unsent;
  }

  get congested(): boolean {
    return this.#unsent > LIMITS.unsentBytes;
  }

  send(packet: EventPacket): void {
    // A socket that closed in this moment drops it by itself; what it did not get stays in the log.
    this.socket.emit('session:events', packet);
    if (this.congested) this.#watch();
  }

  reconnect(_reason: string): void {
    this.socket.conn.close();
  }

  /** A token ends: its client comes back with a fresh one. Past what a timer can hold, it is asked again. */
  expireAt(time: number, now: () => number): void {
    const left = time - now();
    if (left <= 0) return this.reconnect('the token expired');
    this.#expiry = setTimeout(() => this.expireAt(time, now), Math.min(left, 2 ** 31 - 1));
    this.#expiry.unref();
  }

  #watch(): void {
    this.#stalled ??= setTimeout(() => terminate(this.socket.conn), LIMITS.unsentTimeoutMs);
    this.#stalled.unref();
  }

  #drained(): void {
    this.#unsent = Math.max(0, this.#unsent - this.#writing);
    this.#writing = 0;
    if (!this.#stalled) return;
    clearTimeout(this.#stalled);
    this.#stalled = undefined;
    if (this.congested) this.#watch();
    else this.onDrained();
  }

  #closed(): void {
    clearTimeout(this.#stalled);
    clearTimeout(this.#expiry);
  }
}

/**
 * Ends a transport without the closing handshake, for which a peer that does not read would be waited.
 */
export function terminate(conn: Transport): void {
  const { socket } = conn.transport as unknown as { socket?: { terminate?: () => void } };
  if (socket?.terminate) socket.terminate();
  else conn.close(true);
}

function sizeOf(data: unknown): number {
  if (typeof data === 'string') return data.length;
  return ArrayBuffer.isView(data) ? data.byteLength : 0;
}
