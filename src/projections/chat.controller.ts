import {
  Body,
  Controller,
  Delete,
  Get,
  Header,
  HttpCode,
  Param,
  Post,
  Query,
  Req,
  Res,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import { AddressLimits } from '../gateway/address.limits.js';
import { HistoryDto } from '../gateway/chat.dto.js';
import { HttpFilter } from '../gateway/http.filter.js';
import { toDto } from '../gateway/payload.pipe.js';
import type { UIMessage } from '../protocol.js';
import { Callers } from './callers.js';
import { chatId, chatOrder } from './chat.request.js';
import { Conversations } from './conversations.js';
import { HttpGuard } from './http.guard.js';
import { SseSink } from './sse.sink.js';
import { UI_MESSAGE_FORMAT } from './ui-message.format.js';

/** What `DefaultChatTransport` of the AI SDK speaks, at its default path: `useChat()` as it is talks to this. */
@UseGuards(HttpGuard)
@UseFilters(HttpFilter)
@Controller('api/chat')
export class ChatController {
  constructor(
    private readonly conversations: Conversations,
    private readonly callers: Callers,
    private readonly limits: AddressLimits,
  ) {}

  /** Begins a turn; its answer is the body. */
  @Post()
  async send(@Req() request: Request, @Res() response: Response, @Body() body: unknown): Promise<void> {
    const order = chatOrder(body);
    const caller = await this.callers.welcome(request.headers, (cookie) =>
      response.setHeader('Set-Cookie', cookie),
    );
    await this.conversations.answer(caller, order, this.#sink(request, response));
  }

  /** The running answer from its start; 204 where none runs. */
  @Get(':id/stream')
  async resume(@Req() request: Request, @Res() response: Response, @Param('id') id: string): Promise<void> {
    const caller = await this.callers.identify(request.headers);
    const resumed = await this.conversations.resume(caller, chatId(id), this.#sink(request, response));
    if (!resumed) response.status(204).end();
  }

  /** Stops the running turn: closing the stream only leaves it. */
  @Delete(':id/stream')
  @HttpCode(204)
  async cancel(@Req() request: Request, @Param('id') id: string): Promise<void> {
    await this.conversations.cancel(await this.callers.identify(request.headers), chatId(id));
  }

  /** Stored messages, oldest first: what a page shows before it resumes. */
  @Get(':id')
  @Header('Cache-Control', 'no-store')
  async history(
    @Req() request: Request,
    @Param('id') id: string,
    @Query('before') before?: string,
    @Query('limit') limit?: string,
  ): Promise<{ messages: UIMessage[]; hasMore: boolean }> {
    const caller = await this.callers.identify(request.headers);
    const sessionId = chatId(id);
    const page = toDto(HistoryDto, {
      sessionId,
      before,
      limit: limit === undefined ? undefined : Number(limit),
    });
    return this.conversations.history(caller, sessionId, page);
  }

  #sink(request: Request, response: Response): SseSink {
    const sink = new SseSink(response, UI_MESSAGE_FORMAT);
    sink.onClosed(this.limits.count(request));
    return sink;
  }
}
