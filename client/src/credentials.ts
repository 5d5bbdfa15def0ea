import { ID_PATTERN, LIMITS } from '../../src/protocol.js';

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
  const { crypto } = globalThis as { crypto?: Partial<typeof globalThis.crypto> };
  if (!crypto?.getRandomValues)
    throw new Error(
      'There is no crypto.getRandomValues. In React Native, import react-native-get-random-values before mooring-client.',
    );
  const random = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(random, (byte) => ID_CHARACTERS.charAt(byte % ID_CHARACTERS.length)).join('');
}

export function newCredentials(): Required<Credentials> {
  return { sessionId: newId(), key: newId(KEY_LENGTH) };
}

export function isCredentials(value: unknown): value is Credentials {
  if (typeof value !== 'object' || value === null) return false;
  const { sessionId, key } = value as Partial<Record<keyof Credentials, unknown>>;
  const { sessionIdMinLength, idLength, keyMinLength, keyMaxLength } = LIMITS;
  return (
    isIdOf(sessionId, sessionIdMinLength, idLength) &&
    (key === undefined || isIdOf(key, keyMinLength, keyMaxLength))
  );
}

function isIdOf(value: unknown, minLength: number, maxLength: number): boolean {
  return (
    typeof value === 'string' &&
    value.length >= minLength &&
    value.length <= maxLength &&
    ID_PATTERN.test(value)
  );
}
