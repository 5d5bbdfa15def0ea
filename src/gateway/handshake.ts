import { Injectable } from '@nestjs/common';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { LIMITS, type ErrorCode } from '../protocol.js';
import type { Principal } from '../sessions/connection.js';
import { plainCopy } from '../sessions/plain-json.js';
import { RequestError } from '../sessions/request.error.js';
import { errorPayload } from './ack.filter.js';
import { Authenticator, UnauthorizedError } from './authenticator.js';
import { OpenDto } from './chat.dto.js';
import { ConnectPace } from './connect.pace.js';
import { outboxOf } from './outbox.js';
import { invalidPayload, toDto } from './payload.pipe.js';
import type { ClientSocket } from './socket.connection.js';

/** A refused connection: `connect_error` with `err.data = {code}`. */
class ConnectError extends Error {
  readonly data: { code: ErrorCode };

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.data = { code };
  }
}

/** How many sessions of a handshake are answered: one packet can name a hundred thousand. */
const ANSWERED = 4 * LIMITS.sessionsPerSocket;

/** What happens before a socket's first request: who it is, and which sessions it comes back to. */
@Injectable()
export class Handshake {
  readonly #joined = new WeakSet<ClientSocket['conn']>();
  readonly refused = { draining: 0, second_connect: 0 };

  constructor(
    private readonly authenticator: Authenticator,
    private readonly loop: AgentLoopService,
    private readonly pace: ConnectPace,
  ) {}

  /** @throws ConnectError, which refuses the connection */
  async admit(socket: ClientSocket): Promise<Principal> {
    this.#refuseWhileDraining();
    // Socket.IO makes a socket of each CONNECT packet that comes before the first one is admitted.
    if (this.#joined.has(socket.conn)) {
      this.refused.second_connect += 1;
      throw new ConnectError('invalid_payload', 'This is connected already.');
    }
    this.#joined.add(socket.conn);
    await this.pace.join(() => socket.conn.readyState !== 'open');
    try {
      const principal = await this.authenticator.authenticate(socket.handshake.auth['token']);
      // It may have begun meanwhile, and who is let in now was not told.
      this.#refuseWhileDraining();
      return principal;
    } catch (error) {
      if (error instanceof ConnectError) throw error;
      if (!(error instanceof UnauthorizedError))
        throw new ConnectError('internal', 'The token could not be checked.');
      throw new ConnectError('unauthorized', 'The token is not accepted.');
    }
  }

  #refuseWhileDraining(): void {
    if (!this.loop.draining) return;
    this.refused.draining += 1;
    throw new ConnectError('draining', 'This node is draining: connect again.');
  }

  /**
   * Binds the sessions that the handshake names, one after the other; each is answered by `session:opened`
   * or `session:failed`. Never rejects.
   */
  async bind(socket: ClientSocket, open: (request: OpenDto) => Promise<void>): Promise<void> {
    const named: unknown = socket.handshake.auth['session'];
    if (named === undefined || named === null) return;
    const requests: unknown[] = Array.isArray(named) ? named : [named];
    for (const [index, request] of requests.slice(0, ANSWERED).entries()) {
      await outboxOf(socket.conn).relieved();
      if (!socket.connected) return;
      try {
        if (index >= LIMITS.sessionsPerSocket) {
          throw RequestError.invalid(
            'session',
            `up to ${LIMITS.sessionsPerSocket} sessions are bound at once`,
          );
        }
        await open(validate(request));
      } catch (error) {
        socket.emit('session:failed', {
          ...idOf(request),
          error: errorPayload(error, { event: 'session:open', ...idOf(request) }),
        });
      }
    }
  }
}

function validate(request: unknown): OpenDto {
  const checked = plainCopy(request);
  if (!checked.ok) throw invalidPayload([checked.issue]);
  const { value: payload } = checked;
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw RequestError.invalid('session', 'an object is expected');
  }
  const dto = toDto(OpenDto, payload);
  // Without an id each reconnect would make one more session that nobody can find again.
  if (dto.sessionId === undefined)
    throw RequestError.invalid('sessionId', 'a handshake needs the id of its session');
  return dto;
}

const RELEASED = Object.freeze({ headers: {}, query: {}, auth: {} });

/**
 * Lets go of what a connection began with: headers, token and keys would be held in memory for as long as it
 * lasts, and nothing reads them any more.
 */
export function releaseHandshake(socket: ClientSocket): void {
  Object.assign(socket.conn, { request: undefined });
  Object.assign(socket, { handshake: RELEASED });
}

function idOf(request: unknown): { sessionId?: string } {
  const id = (request as { sessionId?: unknown } | null | undefined)?.sessionId;
  return typeof id === 'string' && id.length <= LIMITS.idLength ? { sessionId: id } : {};
}
