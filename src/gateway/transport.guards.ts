import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { LIMITS } from '../protocol.js';
import { TokenBucket } from './token.bucket.js';
import {
  cutOff,
  terminate,
  webSocketOf,
  type Engine,
  type Transport,
  type WebSocketLike,
} from './transport.js';

/*
 * What Engine.IO, the Socket.IO parser and `ws` would put up with. There is one of each per connection, so they
 * share closures and make what they need only when it is needed.
 */

interface PollRequest extends IncomingMessage {
  /** Of the URL, as Engine.IO read it. */
  _query?: { sid?: string };
}

/** Engine.IO refuses an oversized body of the polling transport with a 413, and leaves its connection open. */
function closeOversized(engine: Engine, request: PollRequest, response: ServerResponse): void {
  const { clients } = engine as unknown as { clients: Record<string, Transport | undefined> };
  response.once('finish', () => {
    const conn = response.statusCode === 413 && clients[request._query?.sid ?? ''];
    if (conn) terminate(conn, 'oversized');
  });
}

/**
 * What stands in for the response of an upgrade listens to its TCP socket for as long as that lives, and with it
 * holds the request and its headers, some 2 KB. It has done its work when the headers are written. Those leave
 * together with the first packet: one system call for two.
 */
function releaseUpgrade(socket: Socket, response: ServerResponse): void {
  Object.assign(response, { req: undefined });
  socket.cork();
  setImmediate(() => socket.uncork());
}

/** Looks after every request of the engine, polls and upgrades. */
export function guardRequests(engine: Engine): void {
  const upgrades = new WeakMap<IncomingMessage, ServerResponse>();
  engine.use((request: PollRequest, response: ServerResponse, next: () => void) => {
    if (request.method === 'POST') closeOversized(engine, request, response);
    else if (request.headers.upgrade) upgrades.set(request, response);
    next();
  });
  engine.on('headers', (_headers: unknown, request: IncomingMessage) => {
    const response = upgrades.get(request);
    if (response) releaseUpgrade(request.socket, response);
  });
}

/** A Socket.IO packet that announces attachments: `5` (event) or `6` (ack), their number, a dash. */
const ANNOUNCEMENT = /^[56](\d+)-/;

/**
 * The parser waits for announced attachments for ever; a peer that does not send them is cut off.
 * @returns lets go of what it waits for, when the transport has closed
 */
export function closeUnfinishedAttachments(conn: Transport): () => void {
  let missing = 0;
  let timer: NodeJS.Timeout | undefined;
  conn.on('packet', ({ type, data }: { type: string; data?: unknown }) => {
    if (type !== 'message') return;
    if (typeof data === 'string') missing = Number(ANNOUNCEMENT.exec(data)?.[1] ?? 0);
    else missing = Math.max(0, missing - 1);
    clearTimeout(timer);
    timer =
      missing > 0 ? setTimeout(() => terminate(conn, 'attachments'), LIMITS.attachmentTimeoutMs) : undefined;
    timer?.unref();
  });
  return () => clearTimeout(timer);
}

/**
 * `ws` answers pings by itself, read or not, past every count of what is unsent. Whoever sends more of them than
 * of requests is no keep-alive.
 */
export function limitPings(conn: Transport): void {
  webSocketOf(conn.transport)?.on?.('ping', takePing);
  if (conn.transport.name === 'polling') {
    conn.on('upgrading', (next) => webSocketOf(next)?.on?.('ping', takePing));
  }
}

const pings = new WeakMap<WebSocketLike, TokenBucket>();

function takePing(this: WebSocketLike): void {
  let bucket = pings.get(this);
  if (!bucket) pings.set(this, (bucket = new TokenBucket(LIMITS.requestBurst, LIMITS.requestsPerMinute)));
  if (bucket.take().ok) return;
  cutOff.pings += 1;
  this.terminate?.();
}
