import { hash } from 'node:crypto';

/**
 * What a session is called in logs and traces: 12 hex digits, by which its lines are found. Its id itself is half of
 * what an anonymous owner shows.
 */
export function sessionHash(sessionId: string): string {
  return hash('sha256', sessionId).slice(0, 12);
}
