import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { IsIn, IsObject, IsOptional, IsString, Length } from 'class-validator';
import { WebSocketServer, type WebSocket } from 'ws';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { errorPayload } from '../gateway/ack.filter.js';
import { AddressLimits } from '../gateway/address.limits.js';
import { ConnectPace } from '../gateway/connect.pace.js';
import { takeToken } from '../gateway/rate.limits.js';
import { toDto } from '../gateway/payload.pipe.js';
import { TokenBucket } from '../gateway/token.bucket.js';
import { LIMITS } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';
import { Callers, keyCookie, type IdentifyingHeaders } from './callers.js';
import { chatId, chatOrder } from './chat.request.js';
import { Conversations } from './conversations.js';
import { WebSocketChannel, WebSocketSink } from './websocket.sink.js';

const PATH = '/api/chat';
/** Its upgrades are its own; those of any other path are nobody's. */
const SOCKET_IO = '/socket.io/';
/** RFC 6455, section 7.4.1: what was sent breaks a rule. */
const POLICY_VIOLATION = 1008;

class FrameDto {
  @IsIn(['send', 'resume', 'abort'])
  type!: 'send' | 'resume' | 'abort';

  @Length(1, LIMITS.idLength)
  @IsString()
  requestId!: string;

  @IsOptional()
  @IsObject()
  headers?: Record<string, unknown>;
}

/**
 * The frames of the AI SDK's `WebSocketChatTransport` on a plain WebSocket. A request is a turn that is begun or
 * resumed; several may be under way, told apart by their ids.
 */
@Injectable()
export class ChatSocket implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #logger = new Logger(ChatSocket.name);
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: LIMITS.bodyBytes,
    perMessageDeflate: false,
  });
  readonly #newKeys = new WeakMap<IncomingMessage, string>();

  constructor(
    private readonly host: HttpAdapterHost,
    private readonly conversations: Conversations,
    private readonly callers: Callers,
    private readonly limits: AddressLimits,
    private readonly pace: ConnectPace,
    private readonly loop: AgentLoopService,
  ) {}

  onApplicationBootstrap(): void {
    const http = this.host.httpAdapter.getHttpServer() as Server;
    http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      // Compared as it was written: what is no URL must not be parsed here, where nothing would catch the error.
      if (request.url?.split('?', 1)[0] === PATH) void this.#upgrade(request, socket, head);
      else if (!request.url?.startsWith(SOCKET_IO)) refuse(socket, '404 Not Found');
    });
    this.#server.on('headers', (headers, request) => {
      const key = this.#newKeys.get(request);
      if (key !== undefined) headers.push(`Set-Cookie: ${keyCookie(key, request.headers)}`);
    });
  }

  onApplicationShutdown(): void {
    for (const socket of this.sockets) socket.terminate();
  }

  get sockets(): ReadonlySet<WebSocket> {
    return this.#server.clients;
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const refusal = this.limits.connectRefusal(request);
    if (refusal === 'origin not allowed') return refuse(socket, '403 Forbidden');
    if (refusal) return refuse(socket, '429 Too Many Requests');
    if (this.loop.draining) return refuse(socket, '503 Service Unavailable');
    const left = this.limits.hold(request);
    const present = await this.pace.upgrade(request.socket);
    left();
    if (!present) return;
    // It may have begun meanwhile.
    if (this.loop.draining) return refuse(socket, '503 Service Unavailable');
    const key = this.callers.newKey(request.headers);
    if (key !== undefined) this.#newKeys.set(request, key);
    this.#server.handleUpgrade(request, socket, head, (connected) =>
      this.#connected(connected, request, key),
    );
  }

  #connected(socket: WebSocket, request: IncomingMessage, key: string | undefined): void {
    const channel = new WebSocketChannel(socket);
    const bucket = new TokenBucket(LIMITS.requestBurst, LIMITS.requestsPerMinute);
    const { authorization, cookie, traceparent } = request.headers;
    const left = this.limits.count(request);
    const silent = keepAlive(socket);
    socket.on('error', (error) => this.#logger.debug(`a socket failed: ${error.message}`));
    socket.on('close', () => {
      left();
      silent();
    });
    socket.on('message', (data, isBinary) => {
      const frame = isBinary ? undefined : parse(data as Buffer);
      const requestId = requestIdOf(frame);
      // Nobody could be told what is wrong with it.
      if (!frame || requestId === undefined)
        return socket.close(POLICY_VIOLATION, 'this is no frame of a chat transport');
      if (frame['type'] === 'abort') return channel.sinks.get(requestId)?.leave();
      const sink = new WebSocketSink(channel, requestId);
      this.#begin(frame, sink, { channel, bucket })
        .then(() => this.#serve(frame, sink, { headers: { authorization, cookie, traceparent }, key }))
        .catch((error: unknown) => sink.fail(errorPayload(error).message));
    });
  }

  async #begin(
    frame: Record<string, unknown>,
    sink: WebSocketSink,
    { channel: { sinks }, bucket }: { channel: WebSocketChannel; bucket: TokenBucket },
  ): Promise<void> {
    takeToken(bucket);
    const { requestId } = toDto(FrameDto, frame);
    if (sinks.has(requestId)) throw RequestError.invalid('requestId', 'a request of this id is under way');
    if (sinks.size >= LIMITS.sessionsPerSocket)
      throw new RequestError(
        'too_many_sessions',
        `Up to ${LIMITS.sessionsPerSocket} requests are under way at once.`,
      );
    sinks.set(requestId, sink);
    sink.onClosed(() => sinks.delete(requestId));
  }

  async #serve(
    { type, id, trigger, messageId, messages, headers: own, body }: Record<string, unknown>,
    sink: WebSocketSink,
    { headers, key }: { headers: IdentifyingHeaders; key: string | undefined },
  ): Promise<void> {
    // What a request says itself counts more than what the connection began with.
    const said = (own ?? {}) as Record<string, unknown>;
    const { traceparent = headers.traceparent } = said;
    const authorization = authorizationOf(said) ?? headers.authorization;
    if (authorization !== undefined && typeof authorization !== 'string')
      throw RequestError.invalid('headers', 'authorization must be a text');
    const identified = await this.callers.identify({ ...headers, authorization, traceparent });
    const caller = { ...identified, ...(identified.key === undefined && key !== undefined && { key }) };
    if (type === 'resume') {
      if (!(await this.conversations.resume(caller, chatId(id), sink))) sink.idle();
      return;
    }
    const extra = typeof body === 'object' ? body : {};
    await this.conversations.answer(caller, chatOrder({ ...extra, id, trigger, messageId, messages }), sink);
  }
}

/** Names of headers are written in upper or lower case. */
function authorizationOf(headers: Record<string, unknown>): unknown {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
}

function refuse(socket: Duplex, status: string): void {
  // Nobody else listens any more, and one that breaks now must not end the process.
  socket.on('error', () => undefined);
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function parse(data: Buffer): Record<string, unknown> | undefined {
  try {
    const frame: unknown = JSON.parse(data.toString());
    return typeof frame === 'object' && frame !== null ? (frame as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function requestIdOf(frame: Record<string, unknown> | undefined): string | undefined {
  const id = frame?.['requestId'];
  return typeof id === 'string' && id !== '' && id.length <= LIMITS.idLength ? id : undefined;
}

/** As Socket.IO does: a ping every so often, and an end where none was answered. @returns stops it */
function keepAlive(socket: WebSocket): () => void {
  let answered = true;
  socket.on('pong', () => (answered = true));
  const timer = setInterval(() => {
    if (!answered) return socket.terminate();
    answered = false;
    socket.ping();
  }, LIMITS.pingIntervalMs);
  timer.unref();
  return () => clearInterval(timer);
}
