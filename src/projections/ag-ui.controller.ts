import { Body, Controller, Post, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { IsOptional, IsString, Length, Matches } from 'class-validator';
import type { Request, Response } from 'express';
import { AddressLimits } from '../gateway/address.limits.js';
import { limitText } from '../gateway/chat.dto.js';
import { HttpFilter } from '../gateway/http.filter.js';
import { invalidPayload, toDto } from '../gateway/payload.pipe.js';
import { ID_PATTERN, LIMITS } from '../protocol.js';
import { plainCopy } from '../sessions/plain-json.js';
import { RequestError } from '../sessions/request.error.js';
import { AgUiFormat } from './ag-ui.format.js';
import { Callers } from './callers.js';
import { Conversations } from './conversations.js';
import { HttpGuard } from './http.guard.js';
import { SseSink } from './sse.sink.js';

const { idLength, sessionIdMinLength } = LIMITS;

/** What of a `RunAgentInput` is read. The thread is the session, and the last user message is what is asked. */
class RunDto {
  @Length(sessionIdMinLength, idLength)
  @Matches(ID_PATTERN)
  @IsString()
  threadId!: string;

  @Length(1, idLength)
  @IsString()
  runId!: string;

  @Length(1, idLength)
  @IsString()
  messageId!: string;

  @Length(1)
  @IsString()
  text!: string;

  /** Of `forwardedProps`. */
  @IsOptional()
  @Length(1, idLength)
  @IsString()
  agent?: string;
}

/** AG-UI over HTTP: what `HttpAgent` of `@ag-ui/client` posts its runs to. */
@UseGuards(HttpGuard)
@UseFilters(HttpFilter)
@Controller('api/ag-ui')
export class AgUiController {
  constructor(
    private readonly conversations: Conversations,
    private readonly callers: Callers,
    private readonly limits: AddressLimits,
  ) {}

  /** Begins a turn, or where its message was sent before, tells that turn again from its start. */
  @Post()
  async run(@Req() request: Request, @Res() response: Response, @Body() body: unknown): Promise<void> {
    const { threadId, runId, messageId, text, agent } = runOf(body);
    limitText(text);
    const caller = await this.callers.welcome(request.headers, (cookie) =>
      response.setHeader('Set-Cookie', cookie),
    );
    const sink = new SseSink(response, new AgUiFormat({ threadId, runId }));
    sink.onClosed(this.limits.count(request));
    const order = { sessionId: threadId, messageId, text, agent, retry: false };
    await this.conversations.answer(caller, order, sink);
  }
}

function runOf(body: unknown): RunDto {
  if (typeof body !== 'object' || body === null) throw RequestError.invalid('', 'an object is expected');
  const { threadId, runId, messages, forwardedProps } = body as Record<string, unknown>;
  const asked: unknown = Array.isArray(messages)
    ? messages.findLast((message: unknown) => (message as { role?: unknown } | null)?.role === 'user')
    : undefined;
  if (!asked) throw RequestError.invalid('messages', 'there is no user message');
  const { id: messageId, content } = asked as Record<string, unknown>;
  const { agent } = (forwardedProps ?? {}) as Record<string, unknown>;
  const checked = plainCopy({ threadId, runId, messageId, text: textOf(content), agent });
  if (!checked.ok) throw invalidPayload([checked.issue]);
  return toDto(RunDto, checked.value as object);
}

/** A text, or a list of parts that all are text. */
function textOf(content: unknown): unknown {
  if (!Array.isArray(content)) return content;
  const texts = content.map((part: unknown) => {
    const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown };
    if (type !== 'text' || typeof text !== 'string')
      throw RequestError.invalid('messages', 'a message is text: the last one holds a part that is not');
    return text;
  });
  return texts.join('\n');
}
