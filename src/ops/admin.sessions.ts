import { Injectable } from '@nestjs/common';
import { TurnWorkers } from '../agents/turn.workers.js';
import { LIMITS, type Usage } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';
import { SessionBindings } from '../sessions/session.bindings.js';
import { SessionFeed } from '../sessions/session.feed.js';
import { presenceOf, SessionStore, type ListQuery } from '../sessions/session.store.js';
import { addUsage, openTurns } from '../sessions/session.js';
import type { AdminSession, AdminSessionDetail, AdminSessions, AdminTurn } from './admin.api.js';

/** What of a session is known without what was said in it. */
type Known = Omit<AdminSession, 'sockets' | 'unsentBytes' | 'tokens'> & { used?: Usage };

/** Sessions as an operator sees them: what is stored, and who is bound to it here. */
@Injectable()
export class AdminSessionsService {
  constructor(
    private readonly store: SessionStore,
    private readonly bindings: SessionBindings,
    private readonly feed: SessionFeed,
    private readonly workers: TurnWorkers,
  ) {}

  async list(query: Pick<ListQuery, 'state' | 'cursor'> & { limit?: number }): Promise<AdminSessions> {
    const { sessions, nextCursor } = await this.store.list({ limit: LIMITS.historyPage, ...query });
    return {
      sessions: sessions.map((listed) => {
        const { sessionId, agent, turn = null, updatedAt, createdAt = null, used } = listed;
        const state = presenceOf(listed);
        return this.#describe({ sessionId, agent, state, turn, lastActiveAt: updatedAt, createdAt, used });
      }),
      ...(nextCursor === undefined ? {} : { nextCursor }),
    };
  }

  /** @throws RequestError `session_not_found` */
  async show(sessionId: string, content: boolean): Promise<AdminSessionDetail> {
    const { session } = (await this.store.open(sessionId)) ?? {};
    if (!session) throw RequestError.sessionNotFound();
    const { agent, owner, epoch, seq, createdAt, updatedAt: lastActiveAt, running, used } = session;
    const turns = openTurns(session);
    const state = presenceOf({
      // On whatever node.
      attached: (await this.feed.detachedSince(sessionId)) === undefined,
      busy: turns.length > 0,
    });
    const turn = running?.turnId ?? null;
    return {
      ...this.#describe({ sessionId, agent: agent.id, state, turn, lastActiveAt, createdAt, used }),
      turns: turns.map((open) => ({ ...open, ...this.#progress(sessionId, open.turnId) })),
      connections: this.bindings.cursorsOf(sessionId).map(({ state, position, unsentBytes }) => ({
        state,
        behind: position.epoch === epoch ? Math.max(0, seq - position.seq) : seq,
        unsentBytes,
      })),
      position: { epoch, seq },
      owner: owner.kind === 'subject' ? { kind: 'subject', sub: owner.sub } : { kind: 'key' },
      ...(content ? { messages: await this.#messages(sessionId) } : {}),
    };
  }

  async #messages(sessionId: string): Promise<AdminSessionDetail['messages']> {
    const page = await this.store.messages(sessionId, { limit: Number.MAX_SAFE_INTEGER });
    return page?.messages ?? [];
  }

  #describe({ used, ...known }: Known): AdminSession {
    const { sessionId } = known;
    const cursors = this.bindings.cursorsOf(sessionId);
    const active = this.workers.turnOf(sessionId);
    // One that has just ended is among what is stored.
    const running = active?.turn.turnId === known.turn ? active.usage() : undefined;
    return {
      ...known,
      sockets: cursors.length,
      unsentBytes: cursors.reduce((sum, { unsentBytes }) => sum + unsentBytes, 0),
      tokens: (running ? addUsage(used, running) : used) ?? null,
    };
  }

  #progress(sessionId: string, turnId: string): Pick<AdminTurn, 'runningMs' | 'tokens'> {
    const active = this.workers.turnOf(sessionId);
    if (active?.turn.turnId !== turnId) return {};
    const tokens = active.usage();
    return {
      runningMs: Math.round(performance.now() - active.startedAt),
      ...(tokens ? { tokens } : {}),
    };
  }
}
