import { LIMITS } from '../../src/protocol.js';

/** What opens a session, and makes it where it is not there yet. Whoever has both, has the session. */
export interface Credentials {
  /** 16 to 64 characters of `[A-Za-z0-9_-]`. */
  readonly sessionId: string;
  /** 32 to 128 of them. Without one the gateway must know its user by a token. */
  readonly key?: string;
}

const ID_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-';
/** 132 bits. */
const ID_LENGTH = 22;
/** 258 bits. */
const KEY_LENGTH = 43;

/**
 * An id that nobody can guess, of the contract's 64 characters, six bits each.
 * @throws Error where the runtime has no cryptographic random source (React Native: polyfill
 *   `crypto.getRandomValues`, for example by `react-native-get-random-values`)
 */
export function newId(length = ID_LENGTH): string {
  const random = globalThis.crypto.getRandomValues(new Uint8Array(length));
  return Array.from(random, (byte) => ID_CHARACTERS.charAt(byte % ID_CHARACTERS.length)).join('');
}

export function newCredentials(): Required<Credentials> {
  return { sessionId: newId(), key: newId(KEY_LENGTH) };
}

export function isCredentials(value: unknown): value is Credentials {
  if (typeof value !== 'object' || value === null) return false;
  const { sessionId, key } = value as Partial<Record<keyof Credentials, unknown>>;
  return (
    isIdOf(sessionId, LIMITS.sessionIdMinLength) && (key === undefined || isIdOf(key, LIMITS.keyMinLength))
  );
}

function isIdOf(value: unknown, minLength: number): boolean {
  return typeof value === 'string' && value.length >= minLength;
}
