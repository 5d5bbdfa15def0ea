import type { ChatTransport, UIMessage, UIMessageChunk } from 'ai';
import type { SendResult, WhenBusy } from '../../src/protocol.js';
import type { MooringClient } from './client.js';
import { MooringError } from './errors.js';
import type { MooringSession, RetryOptions } from './session.js';

type SendOptions<Message extends UIMessage> = Parameters<ChatTransport<Message>['sendMessages']>[0];
type ResumeOptions<Message extends UIMessage> = Parameters<ChatTransport<Message>['reconnectToStream']>[0];

/**
 * What `useChat` of the AI SDK (version 7) needs in order to talk to a gateway. One answer is one stream, whatever
 * happens to the connection meanwhile.
 *
 * - `sendMessage` sends the message's text; with the `messageId` of an earlier message, and with `regenerate`, that
 *   message is answered anew and all after it is withdrawn (`turn:retry`).
 * - `stop`, which is also what `useChat` does when it is unmounted, leaves: the turn goes on, and can be resumed.
 *   A user's stop is `session.cancel()`.
 * - `resumeStream` streams the running answer from its start.
 * - What the gateway refuses, and a turn that fails, is a {@link MooringError} with its code.
 *
 * The gateway keeps the conversation: what `useChat` holds of older messages is not sent.
 */
export class MooringChatTransport<Message extends UIMessage = UIMessage> implements ChatTransport<Message> {
  readonly resumeStreamIsReplay = true;

  /**
   * @param source the session of the chat, or a client whose session of the chat's id is taken: `useChat` needs an
   *   `id` of the application's own then, since it makes up a new one for every page
   */
  constructor(private readonly source: MooringSession | MooringClient) {}

  async sendMessages({
    trigger,
    chatId,
    messageId,
    messages,
    abortSignal,
    body,
  }: SendOptions<Message>): Promise<ReadableStream<UIMessageChunk>> {
    const session = this.#session(chatId);
    const message = messages.at(-1);
    if (message?.role !== 'user')
      throw refusal('messages: the last one must be a user message; its tools run on the gateway');
    const ask = (): Promise<SendResult> => {
      // `regenerate` names the answer, or nothing; what is left then ends with the message to answer anew.
      if (trigger === 'regenerate-message') return retry(session, { messageId: message.id });
      const text = textOf(message);
      if (messageId !== undefined) return retry(session, { messageId, text });
      return session.send(text, { messageId: message.id, ...whenBusyOf(body) });
    };
    const { turnId, state } = await unlessAborted(ask(), abortSignal);
    const isOpen = state === 'queued' || state === 'running';
    if (!isOpen && !session.knows(turnId)) return closedStream();
    return session.stream(turnId, { signal: abortSignal });
  }

  async reconnectToStream({
    chatId,
    abortSignal,
  }: ResumeOptions<Message>): Promise<ReadableStream<UIMessageChunk> | null> {
    const session = this.#session(chatId);
    await unlessAborted(session.opened(), abortSignal);
    // The running one, or the first that waits.
    const [turn] = session.state.turns;
    return turn ? session.stream(turn.turnId, { signal: abortSignal }) : null;
  }

  #session(chatId: string): MooringSession {
    return 'session' in this.source ? this.source.session({ name: chatId }) : this.source;
  }
}

/** Whoever is told by the rejection needs no failed entry in the outbox beside. */
async function retry(session: MooringSession, options: RetryOptions): Promise<SendResult> {
  try {
    return await session.retry(options);
  } catch (error) {
    for (const { kind, id } of session.state.outbox) if (kind === 'retry') session.discard(id);
    throw error;
  }
}

/** @throws MooringError of parts that are no text */
export function textOf({ parts }: { parts: readonly { type: string; text?: unknown }[] }): string {
  const texts: string[] = [];
  for (const part of parts) {
    if (part.type !== 'text' || typeof part.text !== 'string')
      throw refusal(`messages: a message is text; its part ${part.type} is not`);
    texts.push(part.text);
  }
  return texts.join('\n');
}

/** As in `sendMessage({ text }, { body: { whenBusy: 'interrupt' } })` */
export function whenBusyOf(body: object | undefined): { whenBusy?: WhenBusy } {
  const whenBusy = (body as { whenBusy?: WhenBusy } | undefined)?.whenBusy;
  return whenBusy === undefined ? {} : { whenBusy };
}

function refusal(message: string): MooringError {
  return new MooringError({ code: 'invalid_payload', message, retryable: false });
}

function closedStream(): ReadableStream<UIMessageChunk> {
  return new ReadableStream({ start: (controller) => controller.close() });
}

/** What was sent is not called back: only nobody waits for it any more. */
function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortError());
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** What `useChat` knows an abort by. React Native has no DOMException. */
function abortError(): Error {
  return Object.assign(new Error('The request was aborted.'), { name: 'AbortError' });
}
