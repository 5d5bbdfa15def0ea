import { setTimeout } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import {
  createRemoteJWKSet,
  customFetch,
  errors,
  jwtVerify,
  type JWTPayload,
  type JWTVerifyGetKey,
} from 'jose';
import { Config, type AuthConfig } from '../config.js';
import type { Principal } from '../sessions/connection.js';

type JwtAuth = Extract<AuthConfig, { mode: 'jwt' }>;

/** An owner's id is compared, stored and indexed. */
const SUBJECT_LENGTH = 256;
/** Public keys only, so that no public key is ever taken for the secret of an HMAC. */
const ASYMMETRIC = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];
/**
 * A token of an unknown key makes the set be read again, since its key may have been published just now. But not more
 * often than this, and not more often either while the server fails: anyone can make up a key's id.
 */
const JWKS_PAUSE_MS = 1000;
const JWKS_TIMEOUT_MS = 5000;

/** The token is not accepted. The message is a reason for the log and never holds the token. */
export class UnauthorizedError extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'UnauthorizedError';
  }
}

/** The key set is out of reach or unreadable: nothing is known about the token, which may well be good. */
export class KeysUnavailableError extends Error {
  constructor(reason: string) {
    super(`the key set cannot be read: ${reason}`);
    this.name = 'KeysUnavailableError';
  }
}

/** Says who a token speaks for, of whatever brought it. */
@Injectable()
export class Authenticator {
  readonly #logger = new Logger(Authenticator.name);
  readonly #verify: ((token: string) => Promise<JWTPayload>) | undefined;
  readonly refused = { unauthorized: 0, keys_unavailable: 0 };

  constructor(config: Config) {
    if (config.auth.mode === 'jwt') this.#verify = verifier(config.auth);
  }

  /**
   * @param token what the client sent; ignored with `AUTH=anonymous`
   * @throws UnauthorizedError, or KeysUnavailableError while a token cannot be judged; both are logged and counted
   */
  async authenticate(token: unknown): Promise<Principal> {
    if (!this.#verify) return { kind: 'anonymous' };
    try {
      if (typeof token !== 'string' || token === '') throw new UnauthorizedError('there is no token');
      return toPrincipal(await this.#verify(token));
    } catch (error) {
      if (error instanceof KeysUnavailableError) {
        this.refused.keys_unavailable += 1;
        this.#logger.error(error.message);
        throw error;
      }
      const refusal = error instanceof UnauthorizedError ? error : new UnauthorizedError(reasonOf(error));
      this.refused.unauthorized += 1;
      this.#logger.log(`connection refused: ${refusal.message}`);
      throw refusal;
    }
  }
}

function verifier({ secret, jwksUrl, issuer, audience }: JwtAuth): (token: string) => Promise<JWTPayload> {
  const options = { algorithms: secret ? ['HS256'] : ASYMMETRIC, issuer, audience, clockTolerance: 0 };
  const keys = secret ? () => new TextEncoder().encode(secret) : remoteKeys(jwksUrl ?? '');
  return async (token) => {
    try {
      return (await jwtVerify(token, keys, options)).payload;
    } catch (error) {
      // A token that does not say which key signed it, while the set holds several of its kind.
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      for await (const key of error) {
        const result = await jwtVerify(token, key, options).catch(ifOtherKey);
        if (result) return result.payload;
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  };
}

function ifOtherKey(error: unknown): undefined {
  if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
}

/** Keys of the set at `url`, kept for ten minutes. Tells a token's fault from the key server's. */
function remoteKeys(url: string): JWTVerifyGetKey {
  let readAt = -Infinity;
  const keys = createRemoteJWKSet(new URL(url), {
    // jose's own pause would refuse what comes meanwhile; here it waits, and shares the next reading.
    cooldownDuration: 0,
    timeoutDuration: JWKS_TIMEOUT_MS,
    [customFetch]: async (...request) => {
      const left = readAt + JWKS_PAUSE_MS - performance.now();
      if (left > 0) await setTimeout(left, undefined, { ref: false });
      readAt = performance.now();
      return fetch(...request);
    },
  });
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      if (isTokensFault(error)) throw error;
      throw new KeysUnavailableError(causeOf(error));
    }
  };
}

function isTokensFault(error: unknown): boolean {
  const { JWKSNoMatchingKey, JWKSMultipleMatchingKeys, JOSENotSupported } = errors;
  return [JWKSNoMatchingKey, JWKSMultipleMatchingKeys, JOSENotSupported].some(
    (type) => error instanceof type,
  );
}

function toPrincipal({ sub, exp }: JWTPayload): Principal {
  if (typeof sub !== 'string' || sub === '') throw new UnauthorizedError('the token has no "sub"');
  if (sub.length > SUBJECT_LENGTH) throw new UnauthorizedError(`"sub" is longer than ${SUBJECT_LENGTH}`);
  // Stores hold them as U+FFFD, which would make two subjects one.
  if (!sub.isWellFormed() || sub.includes('\0')) throw new UnauthorizedError('"sub" is not well-formed text');
  return exp === undefined ? { kind: 'subject', sub } : { kind: 'subject', sub, expiresAt: exp * 1000 };
}

/** jose's messages name claims and rules, not values. */
function reasonOf(error: unknown): string {
  return error instanceof errors.JOSEError ? error.message : 'the token cannot be verified';
}

/** What is behind fetch's own "fetch failed". */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  return error.cause instanceof Error && error.cause.message ? error.cause.message : error.message;
}
