import { Logger } from '@nestjs/common';
import type { Server, Socket } from 'socket.io';
import type { ClientEvents, EventPacket, ServerEvents } from '../protocol.js';
import type { Connection, Principal } from '../sessions/connection.js';
import { RequestError } from '../sessions/request.error.js';
import { writeEvent } from './event.writer.js';
import { outboxOf, type Outbox } from './outbox.js';
import { atExpiry, isExpired } from './token.expiry.js';

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
  #forgetExpiry: () => void = () => undefined;

  constructor(
    private readonly socket: ClientSocket,
    readonly principal: Principal,
    readonly traceparent?: string,
  ) {
    this.id = socket.id;
    this.#outbox = outboxOf(socket.conn);
    socket.conn.once('close', () => this.#forgetExpiry());
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

  /** Ends the transport as the token ends: its client comes back with a fresh one. */
  watchExpiry(): void {
    this.#forgetExpiry = atExpiry(this.principal, () => this.reconnect('the token expired'));
  }

  /**
   * Also asked at each request: a timer says nothing of the time that a machine slept.
   * @throws RequestError `unauthorized`, after which the transport is closed
   */
  requireValid(): void {
    if (!isExpired(this.principal)) return;
    // After the answer: what is written to a transport that is closed is dropped.
    setImmediate(() => this.reconnect('the token expired'));
    throw new RequestError('unauthorized', 'The token has expired.');
  }
}
