import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AgentCatalog } from '../agents/agent.catalog.js';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { atExpiry } from '../gateway/token.expiry.js';
import type { UIMessage, WhenBusy } from '../protocol.js';
import type { Principal } from '../sessions/connection.js';
import { RequestError } from '../sessions/request.error.js';
import { SessionService } from '../sessions/session.service.js';
import { TurnConnection } from './turn.connection.js';
import type { TurnSink } from './turn.sink.js';

/** Whose request it is: a token's subject, or someone who shows a session's key. */
export interface Caller {
  principal: Principal;
  key?: string;
  /** W3C trace context of the request. */
  traceparent?: string;
}

/** A turn to begin; the session is made where it is not there. */
export interface TurnOrder {
  sessionId: string;
  /** The user message's id. With `retry` that message is answered anew, and all after it is withdrawn. */
  messageId: string;
  retry: boolean;
  /** Undefined: with `retry`, the message keeps its text. */
  text?: string;
  whenBusy?: WhenBusy;
  /** Of a session that is made now. */
  agent?: string;
}

/**
 * Sessions for frontends without a socket of ours: each request reads one turn out of the session's log. Ownership,
 * validation and limits are those of the services that sockets use.
 */
@Injectable()
export class Conversations {
  constructor(
    private readonly sessions: SessionService,
    private readonly loop: AgentLoopService,
    private readonly catalog: AgentCatalog,
  ) {}

  /** Begins a turn and writes its answer. @throws RequestError as `message:send` and `turn:retry` do */
  async answer(caller: Caller, order: TurnOrder, sink: TurnSink): Promise<void> {
    const { sessionId, messageId, retry, text, whenBusy, agent } = order;
    const connection = await this.#open(caller, { sessionId, create: true, agent }, sink);
    try {
      const result = retry
        ? await this.loop.retry({ sessionId, retryId: randomUUID(), messageId, text }, caller.traceparent)
        : await this.loop.send({ sessionId, messageId, text: text ?? '', whenBusy }, caller.traceparent);
      this.#follow(connection, result, sink);
    } catch (error) {
      await this.sessions.disconnect(connection);
      throw error;
    }
  }

  /** Writes the open turn's answer from its start; false: the session is idle, or there is none. */
  async resume(caller: Caller, sessionId: string, sink: TurnSink): Promise<boolean> {
    let connection: TurnConnection;
    try {
      connection = await this.#open(caller, { sessionId }, sink);
    } catch (error) {
      if (error instanceof RequestError && error.code === 'session_not_found') return false;
      throw error;
    }
    const turn = connection.openTurn;
    if (!turn) {
      await this.sessions.disconnect(connection);
      return false;
    }
    this.#follow(connection, { ...turn, duplicate: true }, sink);
    return true;
  }

  /** Stops the running turn. @throws RequestError `session_not_found`, `turn_not_found` */
  async cancel(caller: Caller, sessionId: string): Promise<void> {
    await this.#visit(caller, sessionId, () => this.loop.cancel(sessionId));
  }

  /** Stored messages, oldest first. @throws RequestError `session_not_found`, `invalid_payload` */
  history(
    caller: Caller,
    sessionId: string,
    { before, limit }: { before?: string; limit?: number },
  ): Promise<{ messages: UIMessage[]; hasMore: boolean }> {
    return this.#visit(caller, sessionId, () => this.sessions.history(sessionId, before, limit));
  }

  #follow(connection: TurnConnection, turn: Parameters<TurnConnection['follow']>[0], sink: TurnSink): void {
    // As a socket is closed at its token's end: its reader asks again with a fresh one, and the turn goes on.
    const cut = (): void => sink.cut();
    if (sink.open) sink.onClosed(atExpiry(connection.principal, cut));
    connection.follow(turn);
  }

  async #open(
    { principal, key }: Caller,
    { sessionId, create, agent }: { sessionId: string; create?: boolean; agent?: string },
    sink: TurnSink,
  ): Promise<TurnConnection> {
    const connection = new TurnConnection(principal, sink);
    // Before it is opened: it may be closed meanwhile, and nobody would ever unbind it.
    sink.onClosed(() => void this.sessions.disconnect(connection));
    sink.onDrained(() => this.sessions.drained(connection));
    await this.sessions.open(
      connection,
      { sessionId, ...(key !== undefined && { key }), ...(create && { create }) },
      () => this.catalog.require(agent),
      (opened) => connection.opened(opened),
    );
    return connection;
  }

  /** What is done as the owner of the session, without reading on. */
  async #visit<Result>(caller: Caller, sessionId: string, visit: () => Promise<Result>): Promise<Result> {
    const connection = await this.#open(caller, { sessionId }, NO_SINK);
    try {
      return await visit();
    } finally {
      await this.sessions.disconnect(connection);
    }
  }
}

const NO_SINK: TurnSink = {
  open: true,
  unsentBytes: 0,
  congested: false,
  accepted: () => undefined,
  chunk: () => undefined,
  end: () => undefined,
  cut: () => undefined,
  onDrained: () => undefined,
  onClosed: () => undefined,
};
