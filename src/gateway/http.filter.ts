import {
  Catch,
  HttpException,
  HttpStatus,
  NotFoundException,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import type { Response } from 'express';
import { errorPayload } from './ack.filter.js';
import type { ErrorCode } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';

const STATUS: Record<ErrorCode, number> = {
  unauthorized: 401,
  session_not_found: 404,
  invalid_payload: 400,
  payload_too_large: 413,
  message_conflict: 409,
  unknown_event: 404,
  agent_not_found: 404,
  turn_not_found: 404,
  session_busy: 409,
  queue_full: 429,
  too_many_sessions: 429,
  rate_limited: 429,
  draining: 503,
  unavailable: 503,
  internal: 500,
};

/** Answers a request that failed with the contract's error: `{error: {code, message, retryable, issues?}}`. */
@Catch()
export class HttpFilter implements ExceptionFilter {
  catch(thrown: unknown, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<Response>();
    // A stream that has begun cannot be given another status: it ends short, and is asked for again.
    if (response.headersSent) return void response.destroy();
    // What is not there is told alike everywhere, whether it is hidden from the caller or unknown.
    if (thrown instanceof NotFoundException) return void response.status(404).json(thrown.getResponse());
    const error = errorPayload(thrown instanceof HttpException ? requestError(thrown) : thrown);
    const status = thrown instanceof HttpException ? thrown.getStatus() : STATUS[error.code];
    if (error.retryAfterMs !== undefined)
      response.setHeader('Retry-After', Math.ceil(error.retryAfterMs / 1000));
    else if (status === 503) response.setHeader('Retry-After', 1);
    response.status(status).json({ error });
  }
}

/** The contract has no code of its own for another origin. */
function requestError(refused: HttpException): RequestError {
  const isForbidden = (refused.getStatus() as HttpStatus) === HttpStatus.FORBIDDEN;
  return new RequestError(isForbidden ? 'unauthorized' : 'invalid_payload', refused.message);
}
