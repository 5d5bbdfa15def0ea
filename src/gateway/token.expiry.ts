import type { Principal } from '../sessions/connection.js';

/** What a timer can hold. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/*
 * By the wall clock, as whoever signed the token and whatever verified it read it: the gateway's own clock stands still
 * while a machine sleeps.
 */

/** Whether its token has ended. */
export function isExpired(principal: Principal, now = Date.now()): boolean {
  return principal.kind === 'subject' && principal.expiresAt !== undefined && principal.expiresAt <= now;
}

/** Calls back as the token ends; at once where it has. @returns forgets it */
export function atExpiry(principal: Principal, ended: () => void): () => void {
  if (principal.kind !== 'subject' || principal.expiresAt === undefined) return () => undefined;
  const { expiresAt } = principal;
  let timer: NodeJS.Timeout | undefined;
  const wait = (): void => {
    const left = expiresAt - Date.now();
    if (left <= 0) return ended();
    // Past what a timer can hold it is asked again.
    timer = setTimeout(wait, Math.min(left, TIMER_MAX_MS));
    timer.unref();
  };
  wait();
  return () => clearTimeout(timer);
}
