import { randomUUID } from 'node:crypto';
import { Catch, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { Ack, ErrorPayload } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';
import { StoreUnavailable } from '../sessions/session.store.js';

const logger = new Logger('Requests');

/** Answers a request that threw: Nest itself would leave its acknowledgement open for ever. */
@Catch()
export class AckFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const args: unknown[] = host.getArgs();
    const ack = args.find((arg) => typeof arg === 'function') as ((answer: Ack<never>) => void) | undefined;
    ack?.({ ok: false, error: errorPayload(error) });
  }
}

/** What a client is told of an error: the contract's words, and of an unforeseen one only a reference. */
export function errorPayload(error: unknown): ErrorPayload {
  if (error instanceof RequestError) return error.toPayload();
  if (error instanceof StoreUnavailable) {
    logger.warn(error.message);
    return new RequestError(
      'unavailable',
      'The session store is out of reach; nothing was accepted.',
    ).toPayload();
  }
  const reference = randomUUID();
  logger.error({ err: error, msg: `request failed, reference ${reference}` });
  return new RequestError(
    'internal',
    `The request failed inside the gateway; reference ${reference}.`,
  ).toPayload();
}
