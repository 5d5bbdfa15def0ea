import { createReadStream } from 'node:fs';
import {
  Controller,
  Get,
  HttpCode,
  Post,
  Redirect,
  Req,
  Res,
  StreamableFile,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import { Config } from '../config.js';
import { DrainService } from '../gateway/drain.service.js';
import { HttpFilter } from '../gateway/http.filter.js';
import type { AdminDraining, AdminHistory, AdminStats } from './admin.api.js';
import { AdminGuard } from './admin.guard.js';
import { AuditLog } from './audit.log.js';
import { consoleFile } from './console.controller.js';
import { NodeStats } from './node.stats.js';

/** The node of the admin API. */
@UseGuards(AdminGuard)
@UseFilters(HttpFilter)
@Controller('admin')
export class AdminNodeController {
  constructor(
    private readonly stats: NodeStats,
    private readonly drainer: DrainService,
    private readonly audit: AuditLog,
    private readonly config: Config,
  ) {}

  /** Where a proxy that adds the token, or a person with a tool that does, finds the page. */
  @Get()
  @Redirect('/console')
  page(): void {
    // The redirect is all.
  }

  @Get('stats')
  now(): Promise<AdminStats> {
    return this.stats.now();
  }

  @Get('stats/history')
  history(): AdminHistory {
    return this.stats.history();
  }

  /** Begins what SIGTERM begins; the process ends when it is done. */
  @Post('drain')
  @HttpCode(202)
  drain(@Req() request: Request, @Res({ passthrough: true }) response: Response): AdminDraining {
    this.audit.record('node.drain', 'done', request);
    // Whoever asked is answered before anything closes.
    response.once('close', () => this.drainer.request());
    return { draining: true, timeoutMs: this.config.drainTimeoutMs };
  }

  @Get('openapi.json')
  openApi(): StreamableFile {
    return new StreamableFile(createReadStream(consoleFile('openapi.json')), { type: 'application/json' });
  }
}
