import type { IncomingMessage, ServerResponse } from 'node:http';
import type { INestApplicationContext } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import type { Server, ServerOptions } from 'socket.io';
import type { Config } from '../config.js';
import { LIMITS } from '../protocol.js';
import { clientAddress, isOriginAllowed } from './origin.policy.js';
import { outboxOf, terminate, type Transport } from './outbox.js';

interface PollRequest extends IncomingMessage {
  /** Of the URL, as Engine.IO read it. */
  _query?: { sid?: string };
}

/** Socket.IO with the contract's limits, in the place where Nest makes its server. */
export class SocketAdapter extends IoAdapter {
  readonly #sockets = new Map<string, number>();

  constructor(
    app: INestApplicationContext,
    private readonly config: Config,
  ) {
    super(app);
  }

  override createIOServer(port: number, options?: Partial<ServerOptions>): Server {
    const server = super.createIOServer(port, {
      ...options,
      transports: [...this.config.transports],
      maxHttpBufferSize: LIMITS.packetBytes,
      pingInterval: LIMITS.pingIntervalMs,
      pingTimeout: LIMITS.pingTimeoutMs,
      // Deltas are small, and a compressor's memory is held for each socket.
      perMessageDeflate: false,
      cors: this.config.corsOrigins && { origin: [...this.config.corsOrigins], credentials: true },
      allowRequest: (
        request: IncomingMessage,
        decide: (error: string | undefined, allowed: boolean) => void,
      ) => {
        const refusal = this.#refusal(request);
        decide(refusal, refusal === undefined);
      },
    } as ServerOptions);
    server.engine.on('connection', (conn: Transport) => {
      this.#count(conn);
      outboxOf(conn);
      closeUnfinishedAttachments(conn);
    });
    closeOversized(server.engine);
    return server;
  }

  #refusal(request: IncomingMessage): string | undefined {
    const { origin, host } = request.headers;
    const allowlist = this.config.corsOrigins && [...this.config.corsOrigins];
    if (!isOriginAllowed({ origin, host, allowlist })) return 'origin not allowed';
    const open = this.#sockets.get(clientAddress(request, this.config.trustProxy)) ?? 0;
    return open >= this.config.maxSocketsPerIp ? 'too many connections' : undefined;
  }

  #count(conn: Transport): void {
    const address = clientAddress(conn.request, this.config.trustProxy);
    this.#sockets.set(address, (this.#sockets.get(address) ?? 0) + 1);
    conn.once('close', () => {
      const left = (this.#sockets.get(address) ?? 1) - 1;
      if (left > 0) this.#sockets.set(address, left);
      else this.#sockets.delete(address);
    });
  }
}

/** Engine.IO refuses an oversized body of the polling transport with a 413, and leaves its connection open. */
function closeOversized(engine: Server['engine']): void {
  const { clients } = engine as unknown as { clients: Record<string, Transport | undefined> };
  engine.use((request: PollRequest, response: ServerResponse, next: () => void) => {
    if (request.method === 'POST') {
      response.once('finish', () => {
        const conn = response.statusCode === 413 && clients[request._query?.sid ?? ''];
        if (conn) terminate(conn);
      });
    }
    next();
  });
}

/** A Socket.IO packet that announces attachments: `5` (event) or `6` (ack), their number, a dash. */
const ANNOUNCEMENT = /^[56](\d+)-/;

/** The parser waits for announced attachments for ever; a peer that does not send them is cut off. */
function closeUnfinishedAttachments(conn: Transport): void {
  let missing = 0;
  let timer: NodeJS.Timeout | undefined;
  conn.on('packet', ({ type, data }: { type: string; data?: unknown }) => {
    if (type !== 'message') return;
    if (typeof data === 'string') missing = Number(ANNOUNCEMENT.exec(data)?.[1] ?? 0);
    else missing = Math.max(0, missing - 1);
    clearTimeout(timer);
    timer = missing > 0 ? setTimeout(() => terminate(conn), LIMITS.attachmentTimeoutMs) : undefined;
    timer?.unref();
  });
  conn.once('close', () => clearTimeout(timer));
}
