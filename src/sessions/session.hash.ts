import { hash } from 'node:crypto';

const HASH_LENGTH = 12;

/**
 * How logs name a session: the first 12 hexadecimal digits of its id's SHA-256. An id is half of what opens an
 * anonymous session, and all of what names one; the hash names it to those who have the id already.
 */
export function sessionHash(sessionId: string): string {
  return hash('sha256', sessionId).slice(0, HASH_LENGTH);
}
