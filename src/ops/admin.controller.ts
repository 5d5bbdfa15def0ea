import { Controller, Delete, Get, HttpCode, Param, Query, Req, UseFilters, UseGuards } from '@nestjs/common';
import type { Request } from 'express';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { HttpFilter } from '../gateway/http.filter.js';
import { RequestError } from '../sessions/request.error.js';
import type { AdminSessionDetail, AdminSessions } from './admin.api.js';
import { QueryPipe, SessionQueryDto, SessionsQueryDto } from './admin.dto.js';
import { AdminGuard } from './admin.guard.js';
import { AdminSessionsService } from './admin.sessions.js';
import { AuditLog, type AuditedAction } from './audit.log.js';

/** The sessions of the admin API. */
@UseGuards(AdminGuard)
@UseFilters(HttpFilter)
@Controller('admin/sessions')
export class AdminController {
  constructor(
    private readonly sessions: AdminSessionsService,
    private readonly loop: AgentLoopService,
    private readonly audit: AuditLog,
  ) {}

  @Get()
  list(@Query(new QueryPipe()) query: SessionsQueryDto): Promise<AdminSessions> {
    return this.sessions.list(query);
  }

  /** One session; what was said in it only with `?content=true`. */
  @Get(':id')
  show(
    @Req() request: Request,
    @Param('id') sessionId: string,
    @Query(new QueryPipe()) { content }: SessionQueryDto,
  ): Promise<AdminSessionDetail> {
    if (content !== 'true') return this.sessions.show(sessionId, false);
    return this.#audited('session.content', request, sessionId, () => this.sessions.show(sessionId, true));
  }

  @Delete(':id')
  @HttpCode(204)
  close(@Req() request: Request, @Param('id') sessionId: string): Promise<void> {
    return this.#audited('session.close', request, sessionId, () => this.loop.close(sessionId));
  }

  async #audited<Result>(
    action: AuditedAction,
    request: Request,
    sessionId: string,
    act: () => Promise<Result>,
  ): Promise<Result> {
    try {
      const result = await act();
      this.audit.record(action, 'done', request, { sessionId });
      return result;
    } catch (error) {
      const isUnknown = error instanceof RequestError && error.code === 'session_not_found';
      this.audit.record(action, isUnknown ? 'not_found' : 'failed', request, { sessionId });
      throw error;
    }
  }
}
