import type { Ack, RequestName, Requests } from '../../src/protocol.js';
import type { Connection } from './connection.js';
import { MooringError } from './errors.js';

/** "Not now": asked again after the pause that the gateway names, or this one, doubled up to 8 s. */
const TEMPORARY: ReadonlySet<string> = new Set(['rate_limited', 'draining', 'unavailable']);
const PAUSE_MS = 500;
const PAUSE_AT_MOST_MS = 8_000;
/** Nobody waits for longer than this before a screen: what names a longer pause is a refusal. */
const PATIENCE_MS = 60_000;

/**
 * Repeats a request until there is an answer. Every request of the contract may be repeated: those that start
 * something carry an id of their own.
 * @param attempt undefined: no answer came; it rejects where there will be none
 * @param isMended whether an error was dealt with, so that the request may be sent again
 * @throws MooringError what the gateway said against it
 */
export async function untilAnswered<Data>(
  attempt: () => Promise<Ack<Data> | undefined>,
  isMended: (error: MooringError) => boolean = () => false,
): Promise<Data> {
  for (let pause = PAUSE_MS; ;) {
    const answer = await attempt();
    if (!answer) continue;
    if (answer.ok) return answer.data;
    const error = new MooringError(answer.error);
    const ms = error.retryAfterMs ?? pause;
    if (TEMPORARY.has(error.code) && ms <= PATIENCE_MS) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      pause = Math.min(2 * pause, PAUSE_AT_MOST_MS);
    } else if (!isMended(error)) throw error;
  }
}

/** Asks once, where nothing has to happen before the next packet is looked at; undefined: no answer came. */
export function askOnce<Name extends RequestName>(
  connection: Pick<Connection, 'ask'>,
  name: Name,
  payload: Requests[Name]['payload'],
): Promise<Ack<Requests[Name]['data']> | undefined> {
  return new Promise((resolve) => connection.ask(name, payload, resolve));
}
