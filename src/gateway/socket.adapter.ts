import type { IncomingMessage, Server as HttpServer } from 'node:http';
import { Logger, type INestApplicationContext } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import type { MessageMappingProperties } from '@nestjs/websockets';
import { isObservable, lastValueFrom } from 'rxjs';
import type { Server, ServerOptions, Socket } from 'socket.io';
import type { Config } from '../config.js';
import { LIMITS } from '../protocol.js';
import { AddressLimits } from './address.limits.js';
import { ConnectPace } from './connect.pace.js';
import { makeOutboxes, outboxOf } from './outbox.js';
import type { Transport } from './transport.js';
import { closeUnfinishedAttachments, guardRequests, limitPings } from './transport.guards.js';

/** Socket.IO with the contract's limits, in the place where Nest makes its server. */
export class SocketAdapter extends IoAdapter {
  readonly #logger = new Logger(SocketAdapter.name);
  /** Of the handlers: the same for all sockets, while Nest makes an object of each for each socket. */
  #names?: string[];
  readonly #limits: AddressLimits;
  readonly #pace: ConnectPace;

  constructor(
    app: INestApplicationContext,
    private readonly config: Config,
  ) {
    super(app);
    this.#limits = app.get(AddressLimits);
    this.#pace = app.get(ConnectPace);
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
      // Upgrades to what is not Socket.IO are somebody else's, who may let them wait for longer than Engine.IO does.
      destroyUpgrade: false,
      cors: this.config.corsOrigins && { origin: [...this.config.corsOrigins], credentials: true },
      allowRequest: (
        request: IncomingMessage,
        decide: (error: string | undefined, allowed: boolean) => void,
      ) => {
        const refusal = this.#limits.connectRefusal(request);
        if (refusal) return decide(refusal, false);
        // Whoever waits counts among the sockets of its address.
        const left = this.#limits.hold(request);
        void this.#pace.upgrade(request.socket).then((present) => {
          left();
          if (present) decide(undefined, true);
        });
      },
    } as ServerOptions);
    (this.httpServer as HttpServer).on('connection', (socket) => this.#pace.accepted(socket));
    makeOutboxes(server.engine);
    guardRequests(server.engine);
    server.engine.on('connection', (conn: Transport) => {
      const left = this.#limits.count(conn.request);
      const settled = closeUnfinishedAttachments(conn);
      limitPings(conn);
      // One listener for all of them: an idle client is mostly listeners.
      conn.on('close', () => {
        left();
        settled();
        outboxOf(conn).close();
      });
    });
    return server;
  }

  /**
   * Hands requests to the gateway's handlers. Nest's own way subscribes to each event of each socket, which
   * costs an idle client some 45 KB.
   */
  override bindMessageHandlers(socket: Socket, handlers: MessageMappingProperties[]): void {
    const callbacks = handlers.map(({ callback }) => callback);
    this.#names ??= handlers.map(({ message }) => message as string);
    const names = this.#names;
    // The last of the middleware. The pipeline ran before it: the name is known, there is one payload, and
    // `answered` is always there.
    socket.use(([name, payload, answered]) => {
      const callback = socket.connected && callbacks[names.indexOf(name)];
      if (!callback) return;
      answerOf(callback(payload, answered)).then(
        (answer) => {
          if (answer !== undefined) (answered as (answer: unknown) => void)(answer);
        },
        (error: unknown) => this.#logger.error(error),
      );
    });
  }

  override bindClientDisconnect(socket: Socket, callback: (reason: string) => void): void {
    socket.on('disconnect', callback);
  }
}

/** What interceptors make of an answer is an observable; everything else comes as it is. */
async function answerOf(handled: unknown): Promise<unknown> {
  const answer = await handled;
  return isObservable(answer) ? lastValueFrom(answer, { defaultValue: undefined }) : answer;
}
