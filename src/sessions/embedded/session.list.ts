import { RequestError } from '../request.error.js';
import type { Session } from '../session.js';

/** The last session of a page; lists go from the newest `updatedAt` (ISO 8601) to the oldest, then by id. */
export interface ListCursor {
  updatedAt: string;
  sessionId: string;
}

export function encodeCursor({ updatedAt, sessionId }: ListCursor): string {
  return Buffer.from(`${updatedAt} ${sessionId}`).toString('base64url');
}

/** @throws RequestError `invalid_payload` where it is not one that a list gave */
export function decodeCursor(cursor: string): ListCursor {
  const [updatedAt, sessionId, ...rest] = Buffer.from(cursor, 'base64url').toString().split(' ');
  if (!updatedAt || !sessionId || rest.length > 0) {
    throw RequestError.invalid('cursor', 'must be a nextCursor that this list gave');
  }
  return { updatedAt, sessionId };
}

/** A message was accepted; a session without one expires sooner. */
export function hasMessage(session: Session): boolean {
  return session.nextPosition > 0 || session.waiting.length > 0;
}
