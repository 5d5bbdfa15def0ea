import type { NextFunction, Request, Response } from 'express';
import { RequestError } from '../sessions/request.error.js';

/** Answers a body that could not be read as {@link HttpFilter} answers what a handler throws: no handler ran yet. */
export function answerBodyError(
  error: Error & { status?: number },
  _request: Request,
  response: Response,
  next: NextFunction,
): void {
  const { status = 500, message } = error;
  if (status >= 500 || response.headersSent) return next(error);
  const code = status === 413 ? 'payload_too_large' : 'invalid_payload';
  response.status(status).json({ error: new RequestError(code, message).toPayload() });
}
