import { randomUUID } from 'node:crypto';
import { Catch, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { Ack, ErrorCode, ErrorPayload } from '../protocol.js';
import { sessionHash } from '../sessions/session.hash.js';
import { RequestError } from '../sessions/request.error.js';
import { StoreUnavailable } from '../sessions/session.store.js';

const logger = new Logger('Requests');

/** Answers a request that threw: Nest itself would leave its acknowledgement open for ever. */
@Catch()
export class AckFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const args: unknown[] = host.getArgs();
    const ack = args.find((arg) => typeof arg === 'function') as ((answer: Ack<never>) => void) | undefined;
    const { sessionId } = (args[1] ?? {}) as { sessionId?: string };
    const event = host.switchToWs().getPattern();
    ack?.({ ok: false, error: errorPayload(error, { event, sessionId }) });
  }
}

/** How many requests were refused or failed, by the code that they were answered. */
export const refusedRequests: Record<ErrorCode, number> = {
  unauthorized: 0,
  session_not_found: 0,
  invalid_payload: 0,
  payload_too_large: 0,
  message_conflict: 0,
  unknown_event: 0,
  agent_not_found: 0,
  turn_not_found: 0,
  session_busy: 0,
  queue_full: 0,
  too_many_sessions: 0,
  rate_limited: 0,
  draining: 0,
  unavailable: 0,
  internal: 0,
};

/** What was asked, as far as it is known, for the log. */
export interface Asked {
  event?: string;
  sessionId?: string;
}

/** What a client is told of an error: the contract's words, and of an unforeseen one only a reference. */
export function errorPayload(error: unknown, asked: Asked = {}): ErrorPayload {
  const payload = payloadOf(error, asked);
  refusedRequests[payload.code] += 1;
  return payload;
}

function payloadOf(error: unknown, asked: Asked): ErrorPayload {
  if (error instanceof RequestError) {
    logger.debug({ ...lineOf(asked), code: error.code, msg: 'request refused' });
    return error.toPayload();
  }
  const reference = randomUUID();
  if (error instanceof StoreUnavailable) {
    logger.warn({ ...lineOf(asked), msg: error.message });
    return new RequestError(
      'unavailable',
      'The session store is out of reach; nothing was accepted.',
    ).toPayload();
  }
  logger.error({ ...lineOf(asked), reference, err: error, msg: `request failed, reference ${reference}` });
  return new RequestError(
    'internal',
    `The request failed inside the gateway; reference ${reference}.`,
  ).toPayload();
}

function lineOf({ event, sessionId }: Asked): object {
  return {
    ...(event !== undefined && { event }),
    ...(typeof sessionId === 'string' && { session: sessionHash(sessionId) }),
  };
}
