import { Logger, UseFilters, UsePipes } from '@nestjs/common';
import {
  Ack as AckCallback,
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  type OnGatewayInit,
} from '@nestjs/websockets';
import type { DisconnectReason } from 'socket.io';
import { AgentCatalog } from '../agents/agent.catalog.js';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { LIMITS, type Ack, type OpenedSession, type RequestName, type Requests } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';
import { SessionService } from '../sessions/session.service.js';
import { AckFilter } from './ack.filter.js';
import {
  CancelDto,
  EmptyDto,
  HistoryDto,
  ListDto,
  OpenDto,
  RetryDto,
  SendDto,
  limitText,
  SessionDto,
  SwitchDto,
} from './chat.dto.js';
import { writeEvent } from './event.writer.js';
import { Handshake, releaseHandshake } from './handshake.js';
import { outboxOf } from './outbox.js';
import { PayloadPipe } from './payload.pipe.js';
import { OwnerLimits } from './rate.limits.js';
import { installPipeline } from './request.pipeline.js';
import { SocketConnection, type ClientSocket, type GatewayServer } from './socket.connection.js';
import { traceparentOf } from './trace.context.js';

type Answer<Name extends RequestName> = Promise<Ack<Requests[Name]['data']>>;

/**
 * The conversation with frontends: a payload in, one call of a service, an acknowledgement out. What a
 * request goes through before is in `request.pipeline.ts`; what comes of it later is emitted to the sockets
 * that are bound to the session.
 */
@UseFilters(AckFilter)
@UsePipes(new PayloadPipe())
@WebSocketGateway()
export class ChatGateway
  implements
    OnGatewayInit<GatewayServer>,
    OnGatewayConnection<ClientSocket>,
    OnGatewayDisconnect<ClientSocket>
{
  readonly #logger = new Logger(ChatGateway.name);
  readonly #bound = new WeakMap<ClientSocket, () => void>();
  /** How many sockets were closed, by Socket.IO's words for it. */
  readonly disconnects: Partial<Record<DisconnectReason, number>> = {};

  @WebSocketServer()
  private readonly server!: GatewayServer;

  constructor(
    private readonly sessions: SessionService,
    private readonly loop: AgentLoopService,
    private readonly catalog: AgentCatalog,
    private readonly handshake: Handshake,
    private readonly owners: OwnerLimits,
  ) {}

  /** Who a socket is, is settled before it is connected; its requests then wait until it is bound. */
  afterInit(server: GatewayServer): void {
    server.use((socket, next) => {
      this.handshake.admit(socket).then((principal) => {
        const { auth, headers } = socket.handshake;
        const traceparent = traceparentOf(auth['traceparent'], headers['traceparent']);
        const connection = new SocketConnection(socket, principal, traceparent);
        outboxOf(socket.conn).onDrained = () => this.sessions.drained(connection);
        socket.data = { connection };
        const ready = new Promise<void>((resolve) => this.#bound.set(socket, resolve));
        const admitRequest = (): void => {
          connection.requireValid();
          this.owners.take(principal);
        };
        installPipeline(socket, admitRequest, ready);
        next();
      }, next);
    });
  }

  /** Binds the socket to the sessions that its handshake names. Nest does not wait for it, nor catch. */
  async handleConnection(socket: ClientSocket): Promise<void> {
    const { connection } = socket.data;
    this.#logger.debug({ socket: socket.id, transport: socket.conn.transport.name, msg: 'connected' });
    connection.watchExpiry();
    await this.handshake.bind(socket, (request) =>
      this.#open(socket, request, (opened) => writeEvent(socket, 'session:opened', opened)),
    );
    releaseHandshake(socket);
    this.#bound.get(socket)?.();
    this.#bound.delete(socket);
  }

  /** Unbinds the socket: its sessions stay, their turns go on. */
  async handleDisconnect(socket: ClientSocket, reason: DisconnectReason): Promise<void> {
    this.disconnects[reason] = (this.disconnects[reason] ?? 0) + 1;
    this.#logger.debug({ socket: socket.id, reason, msg: 'disconnected' });
    try {
      await this.sessions.disconnect(socket.data.connection);
    } catch (error) {
      this.#logger.warn(`unbinding failed: ${String(error)}`);
    }
  }

  /** Tells every client that this node is about to stop. */
  announceDraining(graceMs: number): void {
    this.server.emit('server:draining', { graceMs });
  }

  /** Resolves when every socket took what it was sent. */
  async flushed(): Promise<void> {
    const sockets = [...this.server.of('/').sockets.values()];
    await Promise.all(sockets.map(({ conn }) => outboxOf(conn).emptied()));
  }

  get sockets(): number {
    return this.server.of('/').sockets.size;
  }

  /** What all sockets together were sent and have not taken; looks at each of them. */
  get unsent(): { bytes: number; congested: number } {
    let bytes = 0;
    let congested = 0;
    for (const { conn } of this.server.of('/').sockets.values()) {
      const outbox = outboxOf(conn);
      bytes += outbox.unsentBytes;
      if (outbox.congested) congested += 1;
    }
    return { bytes, congested };
  }

  @SubscribeMessage('session:open')
  async open(
    @ConnectedSocket() socket: ClientSocket,
    @MessageBody() request: OpenDto,
    @AckCallback() ack: (answer: Ack<OpenedSession>) => void,
  ): Promise<void> {
    await this.#open(socket, request, (data) => ack({ ok: true, data }));
  }

  @SubscribeMessage('session:leave')
  async leave(
    @ConnectedSocket() { data: { connection } }: ClientSocket,
    @MessageBody() { sessionId }: SessionDto,
  ): Answer<'session:leave'> {
    this.sessions.requireBound(connection, sessionId);
    await this.sessions.leave(connection, sessionId);
    return { ok: true, data: {} };
  }

  @SubscribeMessage('session:close')
  async close(
    @ConnectedSocket() { data: { connection } }: ClientSocket,
    @MessageBody() { sessionId }: SessionDto,
  ): Answer<'session:close'> {
    this.sessions.requireBound(connection, sessionId);
    await this.loop.close(sessionId);
    return { ok: true, data: {} };
  }

  @SubscribeMessage('session:history')
  async history(
    @ConnectedSocket() { data: { connection } }: ClientSocket,
    @MessageBody() { sessionId, before, limit }: HistoryDto,
  ): Answer<'session:history'> {
    this.sessions.requireBound(connection, sessionId);
    return { ok: true, data: await this.sessions.history(sessionId, before, limit) };
  }

  @SubscribeMessage('session:list')
  async list(
    @ConnectedSocket() { data: { connection } }: ClientSocket,
    @MessageBody() page: ListDto,
  ): Answer<'session:list'> {
    return { ok: true, data: await this.sessions.list(connection.principal, page) };
  }

  @SubscribeMessage('message:send')
  async send(
    @ConnectedSocket() { data: { connection } }: ClientSocket,
    @MessageBody() request: SendDto,
  ): Answer<'message:send'> {
    limitText(request.text);
    this.sessions.requireBound(connection, request.sessionId);
    return { ok: true, data: await this.loop.send(request, connection.traceparent) };
  }

  @SubscribeMessage('turn:cancel')
  async cancel(
    @ConnectedSocket() { data: { connection } }: ClientSocket,
    @MessageBody() { sessionId, turnId }: CancelDto,
  ): Answer<'turn:cancel'> {
    this.sessions.requireBound(connection, sessionId);
    return { ok: true, data: await this.loop.cancel(sessionId, turnId) };
  }

  @SubscribeMessage('turn:retry')
  async retry(
    @ConnectedSocket() { data: { connection } }: ClientSocket,
    @MessageBody() request: RetryDto,
  ): Answer<'turn:retry'> {
    limitText(request.text);
    this.sessions.requireBound(connection, request.sessionId);
    return { ok: true, data: await this.loop.retry(request, connection.traceparent) };
  }

  @SubscribeMessage('agent:list')
  async listAgents(@MessageBody() _nothing: EmptyDto): Answer<'agent:list'> {
    return Promise.resolve({ ok: true, data: { agents: this.catalog.list() } });
  }

  @SubscribeMessage('agent:switch')
  async switchAgent(
    @ConnectedSocket() { data: { connection } }: ClientSocket,
    @MessageBody() { sessionId, agent }: SwitchDto,
  ): Answer<'agent:switch'> {
    this.sessions.requireBound(connection, sessionId);
    const pinned = this.catalog.require(agent);
    await this.sessions.switchAgent(sessionId, pinned);
    return { ok: true, data: { agent: pinned.id } };
  }

  async #open(
    socket: ClientSocket,
    request: OpenDto,
    deliver: (opened: OpenedSession) => void,
  ): Promise<void> {
    limitMetadata(request.metadata);
    return this.sessions.open(
      socket.data.connection,
      request,
      () => this.catalog.require(request.agent),
      deliver,
    );
  }
}

function limitMetadata(metadata: Record<string, unknown> | undefined): void {
  if (metadata && Buffer.byteLength(JSON.stringify(metadata)) > LIMITS.metadataBytes) {
    throw RequestError.invalid('metadata', `its JSON has up to ${LIMITS.metadataBytes} bytes`);
  }
}
