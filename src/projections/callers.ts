import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Injectable } from '@nestjs/common';
import { Config } from '../config.js';
import { Authenticator, KeysUnavailableError, UnauthorizedError } from '../gateway/authenticator.js';
import { OwnerLimits } from '../gateway/rate.limits.js';
import { traceparentOf } from '../gateway/trace.context.js';
import { ID_PATTERN, LIMITS } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';
import type { Caller } from './conversations.js';

const COOKIE = 'mooring_key';
const COOKIE_MAX_AGE_S = 400 * 24 * 3600;

/** Those of a request by which it says whose it is, and of which trace. */
export type IdentifyingHeaders = Pick<IncomingHttpHeaders, 'authorization' | 'cookie'> & {
  traceparent?: unknown;
};

/**
 * Whose a request without a handshake is. `Authorization: Bearer` is the token, or without `AUTH=jwt` the key of the
 * session. A browser that sends neither has a key of its own in a cookie that scripts cannot read.
 */
@Injectable()
export class Callers {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly owners: OwnerLimits,
    private readonly config: Config,
  ) {}

  /** @throws RequestError `unauthorized`, `unavailable` (the key set), `rate_limited`, `invalid_payload` */
  async identify({ traceparent, ...headers }: IdentifyingHeaders): Promise<Caller> {
    return { ...(await this.#identify(headers)), traceparent: traceparentOf(traceparent) };
  }

  async #identify({ authorization, cookie }: IdentifyingHeaders): Promise<Caller> {
    const bearer = /^Bearer +(.+)$/i.exec(authorization ?? '')?.[1];
    if (this.config.auth.mode === 'jwt') {
      try {
        const principal = await this.authenticator.authenticate(bearer);
        this.owners.take(principal);
        return { principal };
      } catch (error) {
        if (error instanceof UnauthorizedError)
          throw new RequestError('unauthorized', 'The token is not accepted.');
        if (error instanceof KeysUnavailableError)
          throw new RequestError('unavailable', 'The token could not be checked.');
        throw error;
      }
    }
    const principal = { kind: 'anonymous' } as const;
    if (bearer !== undefined) {
      if (!isKey(bearer)) throw RequestError.invalid('authorization', 'the bearer is no key of a session');
      return { principal, key: bearer };
    }
    const key = keyOfCookie(cookie);
    return key === undefined ? { principal } : { principal, key };
  }

  /**
   * As {@link identify}, and who comes without a key is given one.
   * @param setCookie is called with the header's value, before anything is answered
   * @throws RequestError `unauthorized`, `invalid_payload`
   */
  async welcome(headers: IncomingHttpHeaders, setCookie: (cookie: string) => void): Promise<Caller> {
    const caller = await this.identify(headers);
    const key = this.newKey(headers);
    if (key === undefined) return caller;
    setCookie(keyCookie(key, headers));
    return { ...caller, key };
  }

  /** A new browser's key; undefined where it needs none. */
  newKey({ authorization, cookie }: IdentifyingHeaders): string | undefined {
    if (this.config.auth.mode === 'jwt' || authorization !== undefined) return undefined;
    return keyOfCookie(cookie) === undefined ? randomBytes(32).toString('base64url') : undefined;
  }
}

/** @param origin of the page: where that came over TLS the cookie is not sent in the clear either */
export function keyCookie(key: string, { origin }: Pick<IncomingHttpHeaders, 'origin'>): string {
  const secure = origin?.startsWith('https:') ?? false;
  const how = `Path=/api; Max-Age=${COOKIE_MAX_AGE_S}; HttpOnly; SameSite=Strict`;
  return `${COOKIE}=${key}; ${how}${secure ? '; Secure' : ''}`;
}

function keyOfCookie(cookie: string | undefined): string | undefined {
  const key = new RegExp(`(?:^|; *)${COOKIE}=([^;]*)`).exec(cookie ?? '')?.[1];
  // What something else put there is as good as nothing.
  return key !== undefined && isKey(key) ? key : undefined;
}

function isKey(key: string): boolean {
  return ID_PATTERN.test(key) && key.length >= LIMITS.keyMinLength && key.length <= LIMITS.keyMaxLength;
}
