import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { LIMITS, REQUEST_NAMES, type Ack } from '../protocol.js';
import { plainCopy } from '../sessions/plain-json.js';
import { RequestError } from '../sessions/request.error.js';
import { errorPayload } from './ack.filter.js';
import { outboxOf } from './outbox.js';
import { invalidPayload } from './payload.pipe.js';
import { rateLimited, takeToken } from './rate.limits.js';
import { requestContext } from './request.context.js';
import type { ClientSocket } from './socket.connection.js';
import { TokenBucket } from './token.bucket.js';

const KNOWN: ReadonlySet<string> = new Set(REQUEST_NAMES);

const logger = new Logger('Requests');

/** How many were asked, by name; those that are none of the contract's are `unknown`. */
export const requests: Record<string, number> = Object.fromEntries(
  [...REQUEST_NAMES, 'unknown'].map((name) => [name, 0]),
);

type Answer = Ack<unknown>;

/**
 * What every request of a socket goes through before its handler sees it: rate, shape, name, order. Each is
 * given an acknowledgement callback, also where its client sent none, so that handlers know one way to answer;
 * a failure that nobody waits for becomes the event `request:failed`.
 * @param admitOwners a request of the socket's owner; it throws where the token has ended, or that asked too often
 * @param ready settles when the sessions of the handshake are bound: until then requests wait
 */
export function installPipeline(socket: ClientSocket, admitOwners: () => void, ready: Promise<void>): void {
  const outbox = outboxOf(socket.conn);
  let bucket: TokenBucket | undefined;
  // The requests of one socket are handled one after the other: each waits for its predecessor's answer.
  let previous = ready;
  // Those that are not answered yet, and the characters of all but the first of them.
  let waiting = 0;
  let waitingLength = 0;

  // `packet` is the very array that is handed to the handlers, so it is changed in place.
  socket.use((packet: unknown[], next) =>
    requestContext.run({ request: randomUUID() }, () => handle(packet, next)),
  );

  function handle(packet: unknown[], next: () => void): void {
    const [name, ...args] = packet;
    const event = String(name);
    const known = KNOWN.has(event) ? event : 'unknown';
    requests[known] = (requests[known] ?? 0) + 1;
    logger.debug({ socket: socket.id, event: known, msg: 'request' });
    const callback = typeof args.at(-1) === 'function' ? (args.pop() as (answer: Answer) => void) : undefined;
    const reply = (answer: Answer): void => {
      if (callback) callback(answer);
      else if (!answer.ok)
        socket.emit('request:failed', { event: event.slice(0, LIMITS.idLength), error: answer.error });
    };
    let payload: unknown;
    let length = 0;
    try {
      bucket ??= new TokenBucket(LIMITS.requestBurst, LIMITS.requestsPerMinute);
      takeToken(bucket);
      admitOwners();
      payload = admit(event, args);
      // Whoever waits for each answer is never measured.
      if (waiting > 0) length = JSON.stringify(payload).length;
      if (waiting >= LIMITS.waitingRequests || waitingLength + length > LIMITS.waitingLength) {
        rateLimited.socket += 1;
        throw new RequestError('rate_limited', 'Too much waits on this connection.', { retryAfterMs: 1_000 });
      }
    } catch (error) {
      return reply({ ok: false, error: errorPayload(error, { event: known }) });
    }
    waiting += 1;
    waitingLength += length;
    const turn = previous;
    previous = new Promise((resolve) => {
      let isAnswered = false;
      const answered = (answer: Answer): void => {
        if (isAnswered) return;
        isAnswered = true;
        waiting -= 1;
        waitingLength -= length;
        reply(answer);
        resolve();
      };
      packet.splice(0, packet.length, event, payload, answered);
      // A client that does not read what it is sent is not given more to read.
      void turn
        .then(() => outbox.relieved())
        .then(() => {
          // What is left of a socket that has gone reaches no handler and so is never answered.
          if (!socket.connected) resolve();
          next();
        });
    });
  }
}

function admit(event: string, args: unknown[]): unknown {
  if (!KNOWN.has(event)) {
    throw new RequestError('unknown_event', `There is no request ${JSON.stringify(event.slice(0, 64))}.`);
  }
  if (args.length > 1) throw invalidPayload([{ path: '', message: 'one payload is expected' }]);
  const checked = plainCopy(args.length === 0 ? {} : args[0]);
  if (!checked.ok) throw invalidPayload([checked.issue]);
  const { value: payload } = checked;
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw invalidPayload([{ path: '', message: 'an object is expected' }]);
  }
  return payload;
}
