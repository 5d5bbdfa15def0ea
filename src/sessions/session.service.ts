import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Config } from '../config.js';
import {
  LIMITS,
  type AgentSummary,
  type OpenedSession,
  type OpenRequest,
  type SessionSummary,
  type UIMessage,
} from '../protocol.js';
import type { Connection, Principal } from './connection.js';
import type { PinnedAgent } from './pinned-agent.js';
import { RequestError } from './request.error.js';
import { SessionBindings } from './session.bindings.js';
import { sessionHash } from './session.hash.js';
import { presenceOf, SessionStore, type FoundSession, type ListedSession } from './session.store.js';
import type { Owner } from './session.js';

const SWEEP_PAGE = 100;

/**
 * Sessions as a frontend sees them: opened, bound to sockets, left, read, expired. A session outlives its
 * sockets; whoever comes back is given exactly what it missed.
 */
@Injectable()
export class SessionService {
  readonly #logger = new Logger(SessionService.name);
  /** How clients came: a new session, all events since a position, or a snapshot. */
  readonly opens = { created: 0, replayed: 0, snapshot: 0 };
  /** Of those with a snapshot: what the client said it had, could not be gone on from. */
  lostResumes = 0;
  expired = 0;

  constructor(
    private readonly store: SessionStore,
    private readonly bindings: SessionBindings,
    private readonly config: Config,
    private readonly clock: Clock,
  ) {}

  /**
   * Opens or makes a session and binds the socket to it.
   * @param agent pins the agent of a session that is made; it may throw `agent_not_found`
   * @param deliver is called with the answer in the very moment in which the socket is bound, so that no
   *   event can overtake it
   * @throws RequestError `session_not_found`, `invalid_payload`, `too_many_sessions`
   */
  async open(
    connection: Connection,
    request: OpenRequest,
    agent: () => PinnedAgent,
    deliver: (opened: OpenedSession) => void,
  ): Promise<void> {
    const { found, key } = await this.#find(connection.principal, request, agent);
    const { sessionId } = found.session;
    await this.bindings.bind(connection, sessionId, request.position, ({ rest: _rest, ...reading }) => {
      const how = found.created ? 'created' : reading.recovered ? 'replayed' : 'snapshot';
      this.opens[how] += 1;
      if (how === 'snapshot' && request.position) this.lostResumes += 1;
      const line = { session: sessionHash(sessionId), agent: reading.agent.id, how, msg: 'session opened' };
      // One that comes back is no news of the session's.
      if (found.created) this.#logger.log(line);
      else this.#logger.debug(line);
      deliver({
        sessionId,
        ...(found.created && key !== undefined ? { key } : {}),
        created: found.created,
        ...reading,
        agent: summaryOf(reading.agent),
      });
    });
  }

  /** @throws RequestError `session_not_found` unless the session is bound to this socket */
  requireBound(connection: Connection, sessionId: string): void {
    if (!this.bindings.isBound(connection, sessionId)) throw RequestError.sessionNotFound();
  }

  leave(connection: Connection, sessionId: string): Promise<void> {
    return this.bindings.unbind(connection, sessionId);
  }

  /** The socket is gone: its sessions go on without it. */
  disconnect(connection: Connection): Promise<void> {
    return this.bindings.unbindAll(connection);
  }

  drained(connection: Connection): void {
    this.bindings.drained(connection);
  }

  /** Turns that start later use it, waiting ones included. */
  async switchAgent(sessionId: string, agent: PinnedAgent): Promise<void> {
    const outcome = await this.store.accept(sessionId, { kind: 'switch', agent });
    if (outcome.kind === 'gone') throw RequestError.sessionNotFound();
  }

  /** Stored messages just before `before`, oldest first; fewer than `limit` where they are large. */
  async history(
    sessionId: string,
    before: string | undefined,
    limit: number = LIMITS.snapshotMessages,
  ): Promise<{ messages: UIMessage[]; hasMore: boolean }> {
    const page = await this.store.messages(sessionId, { before, limit, maxBytes: LIMITS.historyBytes });
    if (!page && before === undefined) throw RequestError.sessionNotFound();
    if (!page) throw RequestError.invalid('before', 'no message of this session has this id');
    return page;
  }

  async list(
    principal: Principal,
    page: { limit?: number; cursor?: string },
  ): Promise<{ sessions: SessionSummary[]; nextCursor?: string }> {
    if (principal.kind !== 'subject') {
      throw new RequestError(
        'unauthorized',
        'Sessions are listed for the subject of a token only (AUTH=jwt).',
      );
    }
    const listed = await this.store.list({
      subject: principal.sub,
      limit: page.limit ?? LIMITS.historyPage,
      cursor: page.cursor,
    });
    return { ...listed, sessions: listed.sessions.map(describe) };
  }

  /** Ends sessions that are detached and idle for longer than their time to live; gives their number. */
  async expireIdle(): Promise<number> {
    const before = this.#idleBefore();
    let total = 0;
    for (;;) {
      const { sessions } = await this.store.list({ idleBefore: before, limit: SWEEP_PAGE });
      let ended = 0;
      for (const { sessionId, title } of sessions) {
        if (await this.#expire(sessionId, title === '' ? before.empty : before.withMessages)) ended += 1;
      }
      total += ended;
      // A page of which none could be ended would come again for ever.
      if (sessions.length < SWEEP_PAGE || ended === 0) return total;
    }
  }

  async #find(
    principal: Principal,
    request: OpenRequest,
    agent: () => PinnedAgent,
  ): Promise<{ found: FoundSession; key?: string }> {
    if (request.sessionId === undefined) {
      const key = principal.kind === 'anonymous' ? randomBytes(32).toString('base64url') : undefined;
      const owner = ownerOf(principal, key);
      const created = await this.store.open(randomBytes(16).toString('base64url'), () => ({
        owner,
        ownersLimit: this.config.maxSessionsPerOwner,
        agent: agent(),
        metadata: request.metadata,
      }));
      if (!created) throw new RequestError('internal', 'A new session id was taken; try again.');
      return { found: created, key };
    }
    const { sessionId, key, create, metadata } = request;
    if (create && principal.kind === 'anonymous' && key === undefined) {
      throw RequestError.invalid('key', 'with create a session needs its key');
    }
    const found = await this.store.open(
      sessionId,
      create
        ? () => ({
            owner: ownerOf(principal, key),
            ownersLimit: this.config.maxSessionsPerOwner,
            agent: agent(),
            metadata,
          })
        : undefined,
    );
    if (found && this.#isPast(found)) {
      await this.#expire(sessionId, Infinity);
      throw RequestError.sessionNotFound();
    }
    // Compared also where there is nothing to compare with, so that time tells nothing either.
    const mine = found?.created || isOwner(found?.session.owner ?? NOBODY, principal, key);
    if (!found || !mine) throw RequestError.sessionNotFound();
    return { found, key: principal.kind === 'anonymous' ? key : undefined };
  }

  #isPast({ session, created, idleSince }: FoundSession): boolean {
    if (created || idleSince === undefined) return false;
    const before = this.#idleBefore();
    return idleSince < (session.nextPosition === 0 ? before.empty : before.withMessages);
  }

  #idleBefore(): { withMessages: number; empty: number } {
    const now = this.clock.now();
    const ttl = this.config.sessionTtlMs;
    return { withMessages: now - ttl, empty: now - Math.min(ttl, LIMITS.emptySessionTtlMs) };
  }

  async #expire(sessionId: string, unlessActiveSince: number): Promise<boolean> {
    const outcome = await this.store.accept(sessionId, {
      kind: 'close',
      state: 'expired',
      unlessActiveSince,
    });
    if (outcome.kind !== 'done') return false;
    this.expired += 1;
    this.#logger.log({ session: sessionHash(sessionId), msg: 'session expired' });
    return true;
  }
}

export function summaryOf({ id, name, description }: PinnedAgent): AgentSummary {
  return { id, name, description };
}

function describe(listed: ListedSession): SessionSummary {
  const { sessionId, agent, title, updatedAt } = listed;
  return { sessionId, agent, title, state: presenceOf(listed), updatedAt };
}

const NOBODY: Owner = { kind: 'key', keyHash: sha256('') };

function ownerOf(principal: Principal, key: string | undefined): Owner {
  return principal.kind === 'subject'
    ? { kind: 'subject', sub: principal.sub }
    : { kind: 'key', keyHash: sha256(key ?? '') };
}

function isOwner(owner: Owner, principal: Principal, key: string | undefined): boolean {
  const shown = ownerOf(principal, key);
  const same = timingSafeEqual(fingerprint(owner), fingerprint(shown));
  return same && owner !== NOBODY && (shown.kind === 'subject' || key !== undefined);
}

function fingerprint(owner: Owner): Buffer {
  return hash('sha256', owner.kind === 'key' ? `key ${owner.keyHash}` : `subject ${owner.sub}`, 'buffer');
}

function sha256(text: string): string {
  return hash('sha256', text);
}
