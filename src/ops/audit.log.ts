import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Config } from '../config.js';
import { clientAddress } from '../gateway/origin.policy.js';
import { sessionHash } from '../sessions/session.hash.js';

/** What changes something, shows what was said, or was refused. Looking at figures and lists is none. */
export type AuditedAction = 'session.close' | 'session.content' | 'node.drain' | 'token';
export type AuditOutcome = 'done' | 'not_found' | 'failed' | 'refused' | 'locked';

/**
 * One line for each action of the admin API: `{audit: action, outcome, session?, address, request}`, without content,
 * tokens or ids. `LOG_LEVEL` hides it only where it is `silent`.
 */
@Injectable()
export class AuditLog {
  readonly #level: 'silent' | 'info';

  constructor(
    private readonly pino: PinoLogger,
    private readonly config: Config,
  ) {
    this.#level = config.logLevel === 'silent' ? 'silent' : 'info';
  }

  record(
    audit: AuditedAction,
    outcome: AuditOutcome,
    request: IncomingMessage,
    { sessionId }: { sessionId?: string } = {},
  ): void {
    const line = {
      audit,
      outcome,
      ...(sessionId === undefined ? {} : { session: sessionHash(sessionId) }),
      address: clientAddress(request, this.config.trustProxy),
    };
    // The request's own logger, which knows its id.
    this.pino.logger
      .child({ context: 'Audit' }, { level: this.#level })
      .info(line, `admin: ${audit}: ${outcome}`);
  }
}
