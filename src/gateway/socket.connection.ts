import { Logger } from '@nestjs/common';
import type { Server, Socket } from 'socket.io';
import type { ClientEvents, EventPacket, ServerEvents } from '../protocol.js';
import type { Connection, Principal } from '../sessions/connection.js';
import { writeEvent } from './event.writer.js';
import { outboxOf, type Outbox } from './outbox.js';

const logger = new Logger('Connections');

export interface SocketData {
  connection: SocketConnection;
}
export type GatewayServer = Server<ClientEvents, ServerEvents, Record<string, never>, SocketData>;
export type ClientSocket = Socket<ClientEvents, ServerEvents, Record<string, never>, SocketData>;

/** A Socket.IO socket as sessions see it. */
export class SocketConnection implements Connection {
  readonly id: string;
  readonly #outbox: Outbox;
  #expiry?: NodeJS.Timeout;

  constructor(
    private readonly socket: ClientSocket,
    readonly principal: Principal,
    readonly traceparent?: string,
  ) {
    this.id = socket.id;
    this.#outbox = outboxOf(socket.conn);
    socket.conn.once('close', () => clearTimeout(this.#expiry));
  }

  get open(): boolean {
    return this.socket.connected;
  }

  get unsentBytes(): number {
    return this.#outbox.unsentBytes;
  }

  get congested(): boolean {
    return this.#outbox.congested;
  }

  send(packet: EventPacket): void {
    // What one that closes in this moment does not get stays in the log.
    writeEvent(this.socket, 'session:events', packet);
  }

  reconnect(reason: string): void {
    logger.debug(`closing a transport: ${reason}`);
    this.socket.conn.close();
  }

  /** A token ends: its client comes back with a fresh one. Past what a timer can hold, it is asked again. */
  expireAt(time: number, now: () => number): void {
    const left = time - now();
    if (left <= 0) return this.reconnect('the token expired');
    this.#expiry = setTimeout(() => this.expireAt(time, now), Math.min(left, 2 ** 31 - 1));
    this.#expiry.unref();
  }
}
