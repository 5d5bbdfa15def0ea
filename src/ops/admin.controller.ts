import { createHash, timingSafeEqual } from 'node:crypto';
import {
  BadRequestException,
  Controller,
  Delete,
  Get,
  HttpCode,
  Injectable,
  Logger,
  NotFoundException,
  Param,
  Query,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import type { Request } from 'express';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { Config } from '../config.js';
import { LIMITS, type SessionPresence, type UIMessage } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';
import { SessionBindings } from '../sessions/session.bindings.js';
import { SessionFeed } from '../sessions/session.feed.js';
import { presenceOf, SessionStore, type ListedSession } from '../sessions/session.store.js';
import { openTurns } from '../sessions/session.js';

const STATES = ['attached', 'detached', 'orphaned'] as const;

interface AdminSession {
  sessionId: string;
  agent: string;
  state: SessionPresence;
  sockets: number;
  /** The running turn's id. */
  turn: string | null;
  lastActiveAt: string;
}

/** Without the right token there is no admin API: every path is as unknown as any other. */
@Injectable()
export class AdminGuard implements CanActivate {
  constructor(private readonly config: Config) {}

  canActivate(context: ExecutionContext): boolean {
    const { headers, method, url } = context.switchToHttp().getRequest<Request>();
    const { adminToken } = this.config;
    if (adminToken !== undefined && same(headers.authorization ?? '', `Bearer ${adminToken}`)) return true;
    throw new NotFoundException(`Cannot ${method} ${url}`);
  }
}

@UseGuards(AdminGuard)
@Controller('admin/sessions')
export class AdminController {
  readonly #logger = new Logger(AdminController.name);

  constructor(
    private readonly store: SessionStore,
    private readonly bindings: SessionBindings,
    private readonly feed: SessionFeed,
    private readonly loop: AgentLoopService,
  ) {}

  @Get()
  async list(
    @Query('state') state?: string,
    @Query('limit') limit?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ sessions: AdminSession[]; nextCursor?: string }> {
    const wanted = STATES.find((known) => known === state);
    if (state !== undefined && !wanted)
      throw new BadRequestException(`state must be one of ${STATES.join(', ')}`);
    const count = Number(limit ?? LIMITS.historyPage);
    if (!Number.isInteger(count) || count < 1 || count > LIMITS.historyPage) {
      throw new BadRequestException(`limit must be an integer from 1 to ${LIMITS.historyPage}`);
    }
    const page = await this.store.list({ state: wanted, limit: count, cursor }).catch((error: unknown) => {
      throw error instanceof RequestError ? new BadRequestException(error.message) : error;
    });
    return { ...page, sessions: page.sessions.map((listed) => this.#describe(listed)) };
  }

  /** One session; what was said in it only with `?content=true`. */
  @Get(':id')
  async show(@Param('id') sessionId: string, @Query('content') content?: string): Promise<object> {
    const found = await this.store.open(sessionId);
    if (!found) throw new NotFoundException();
    const { session } = found;
    const sockets = this.bindings.socketsOf(sessionId);
    // On whatever node.
    const attached = (await this.feed.detachedSince(sessionId)) === undefined;
    const turns = openTurns(session);
    let messages: UIMessage[] | undefined;
    if (content === 'true') {
      messages = (await this.store.messages(sessionId, { limit: Number.MAX_SAFE_INTEGER }))?.messages;
      this.#logger.log(`admin read the content of a session`);
    }
    return {
      sessionId,
      agent: session.agent.id,
      state: presenceOf({ attached, busy: turns.length > 0 }),
      sockets,
      turn: session.running?.turnId ?? null,
      turns,
      position: { epoch: session.epoch, seq: session.seq },
      createdAt: session.createdAt,
      lastActiveAt: session.updatedAt,
      messages,
    };
  }

  @Delete(':id')
  @HttpCode(204)
  async close(@Param('id') sessionId: string): Promise<void> {
    try {
      await this.loop.close(sessionId);
      this.#logger.log('admin closed a session');
    } catch (error) {
      if (error instanceof RequestError) throw new NotFoundException();
      throw error;
    }
  }

  #describe(listed: ListedSession): AdminSession {
    const { sessionId, agent, turn, updatedAt } = listed;
    return {
      sessionId,
      agent,
      state: presenceOf(listed),
      sockets: this.bindings.socketsOf(sessionId),
      turn: turn ?? null,
      lastActiveAt: updatedAt,
    };
  }
}

function same(one: string, other: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}
