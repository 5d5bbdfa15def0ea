import type { SessionEvent, UIMessage } from '../protocol.js';
import type { Session } from './session.js';
import type { MessagePage } from './session.store.js';

export interface SizedMessage {
  message: UIMessage;
  /** Of its JSON. */
  bytes: number;
}

export function sized(message: UIMessage): SizedMessage {
  return { message, bytes: Buffer.byteLength(JSON.stringify(message)) };
}

export function* chain<T>(first: Iterable<T>, second: Iterable<T>): Iterable<T> {
  yield* first;
  yield* second;
}

/** The newest messages within the limits, at least one, oldest first. */
export function newestWithin(
  newestFirst: Iterable<SizedMessage>,
  limit: number,
  maxBytes: number,
): MessagePage {
  const messages: UIMessage[] = [];
  let bytes = 0;
  for (const next of newestFirst) {
    bytes += next.bytes;
    if (messages.length === limit || (messages.length > 0 && bytes > maxBytes)) {
      return { messages: messages.reverse(), hasMore: true };
    }
    messages.push(next.message);
  }
  return { messages: messages.reverse(), hasMore: false };
}

/** What a snapshot says of the turns that wait. */
export function waitingEvents(session: Session): SessionEvent[] {
  return session.waiting.map(({ turnId, message }) => ({
    type: 'turn',
    turnId,
    messageId: message.id,
    state: 'queued',
    seq: session.seq,
  }));
}
