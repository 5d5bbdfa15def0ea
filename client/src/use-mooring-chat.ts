import { useChat, type UIMessage, type UseChatHelpers, type UseChatOptions } from '@ai-sdk/react';
import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { MooringChatTransport, textOf, whenBusyOf } from './chat.transport.js';
import { MooringError } from './errors.js';
import type { Outgoing } from './outbox.js';
import type { MooringSession, SessionState } from './session.js';

/** Those of `useChat` that the session does not answer: callbacks, `throttle`, `generateId`, schemas. */
export type MooringChatOptions<Message extends UIMessage = UIMessage> = Omit<
  Exclude<UseChatOptions<Message>, { chat: unknown }>,
  'id' | 'messages' | 'transport' | 'resume' | 'experimental_queue'
>;

/** A message that the conversation does not show yet: it waits for its turn, or is on its way. */
export interface QueuedMessage {
  /** The message's id. */
  readonly id: string;
  readonly text: string;
  /** `queued`: the gateway has it, and `session.cancel(turnId)` takes it back. Else as in the outbox. */
  readonly state: 'queued' | Outgoing['state'];
  readonly turnId?: string;
  /** With `failed`: `session.resend(id)` or `session.discard(id)`. */
  readonly error?: MooringError;
}

/** What `useChat` gives, and what it has no place for. */
export interface MooringChat<Message extends UIMessage = UIMessage> extends UseChatHelpers<Message> {
  readonly session: MooringSession;
  /** The session's: its connection, agent, open turns, outbox, and why it failed. */
  readonly state: SessionState;
  /** What waits, in the order in which it is answered. */
  readonly queue: readonly QueuedMessage[];
}

/**
 * `useChat` on a session: the messages are the session's, whoever wrote them in whichever tab; a turn that runs is
 * streamed, whoever began it; a reload goes on in the middle of an answer.
 *
 * `sendMessage` while a turn runs queues the message on the gateway, with `{ body: { whenBusy } }` as told there; after
 * `setMessages` took the end of the conversation away, it takes the place of what was there. `stop` cancels the turn.
 * Unmounting leaves, and the turn goes on.
 * @param session of `client.session()`, which gives the same object every time
 */
export function useMooringChat<Message extends UIMessage = UIMessage>(
  session: MooringSession,
  options: MooringChatOptions<Message> = {},
): MooringChat<Message> {
  const state = useSyncExternalStore(
    session.subscribe,
    () => session.state,
    () => session.state,
  );
  const transport = useMemo(() => new MooringChatTransport<Message>(session), [session]);
  const chat = useChat<Message>({
    ...options,
    id: idOf(session),
    messages: begunMessages<Message>(session.state),
    transport,
  });
  const { messages, setMessages, resumeStream, stop: leave, sendMessage: sendNow } = chat;
  const isBusy = chat.status === 'submitted' || chat.status === 'streaming';
  const { messages: stored, turns } = state;
  const begun = useMemo(() => begunMessages<Message>({ messages: stored, turns }), [stored, turns]);
  const running = state.turns.find((turn) => turn.state === 'running')?.turnId;

  /** The turn whose stream was asked for last; each is asked for once. */
  const resumed = useRef<string>(undefined);
  useEffect(() => () => (resumed.current = undefined), [session]);

  useEffect(() => {
    if (isBusy) {
      // The stream writes the answer, and what was just sent may not be stored yet: only older pages are put before.
      const older = begun.findIndex(({ id }) => id === messages[0]?.id);
      if (older > 0) setMessages((shown) => withOlder(shown, begun));
      return;
    }
    setMessages(begun);
    if (running === undefined || resumed.current === running) return;
    resumed.current = running;
    void resumeStream();
    // What is shown changes with each word; only the stored messages, or the stream's end, change what should be.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [begun, isBusy, running, setMessages, resumeStream]);

  const busy = useRef(isBusy);
  useEffect(() => {
    busy.current = isBusy;
  }, [isBusy]);
  const sendMessage = useCallback<typeof sendNow>(
    async (message, sendOptions) => {
      if (message === undefined || message.messageId !== undefined) return sendNow(message, sendOptions);
      if (busy.current || session.state.turns.length > 0) {
        // Beside the running stream: when its turn begins, it is streamed like one of another tab. What comes of a
        // refusal stands in the queue.
        const { text, ...named } = textMessage(message);
        await session.send(text, { ...named, ...whenBusyOf(sendOptions?.body) }).catch(() => undefined);
        return;
      }
      const replaced = firstTakenAway(setMessages, begunMessages<Message>(session.state));
      if (!replaced) return sendNow(message, sendOptions);
      setMessages((shown) => [...shown, replaced]);
      await sendNow({ ...message, messageId: replaced.id }, sendOptions);
    },
    [session, sendNow, setMessages],
  );
  const stop = useCallback(async () => {
    const [first] = session.state.turns;
    if (!first) return leave();
    try {
      await session.cancel(first.turnId);
    } catch (error) {
      if (!(error instanceof MooringError)) throw error;
    }
  }, [session, leave]);
  const queue = useMemo(() => queueOf(state, messages), [state, messages]);

  return { ...chat, sendMessage, stop, session, state, queue };
}

/** Whether a page is missing is seen by the messages of now: those that are drawn may be older (`throttle`). */
function withOlder<Message extends UIMessage>(shown: Message[], begun: readonly Message[]): Message[] {
  const missing = begun.findIndex(({ id }) => id === shown[0]?.id);
  return missing > 0 ? [...begun.slice(0, missing), ...shown] : shown;
}

const ids = new WeakMap<MooringSession, string>();
let count = 0;

/** Another session is another chat. */
function idOf(session: MooringSession): string {
  const known = ids.get(session);
  if (known !== undefined) return known;
  count += 1;
  const id = `mooring-${count}`;
  ids.set(session, id);
  return id;
}

/** The conversation without the messages whose turns have yet to begin. */
function begunMessages<Message extends UIMessage>({
  messages,
  turns,
}: Pick<SessionState, 'messages' | 'turns'>): Message[] {
  const waiting = new Set(turns.filter(({ state }) => state === 'queued').map(({ messageId }) => messageId));
  // Both are the AI SDK's UI messages; an application names its own metadata.
  return messages.filter(({ id }) => !waiting.has(id)) as unknown as Message[];
}

function queueOf({ turns, messages, outbox }: SessionState, shown: readonly UIMessage[]): QueuedMessage[] {
  const isShown = (id: string): boolean => shown.some((message) => message.id === id);
  const queued = turns.flatMap(({ turnId, messageId, state }): QueuedMessage[] => {
    const message = messages.find(({ id }) => id === messageId);
    if (state !== 'queued' || !message || isShown(messageId)) return [];
    return [{ id: messageId, text: textOf(message), state, turnId }];
  });
  const unsent = outbox.flatMap((item): QueuedMessage[] => {
    const { id, state, error } = item;
    // What the conversation holds is no longer on its way, whether or not that was acknowledged.
    if (item.kind !== 'message' || isShown(id) || messages.some((message) => message.id === id)) return [];
    return [{ id, text: item.text, state, ...(error && { error }) }];
  });
  return [...queued, ...unsent];
}

/**
 * The user message that a new one takes the place of, where an application took the end of the conversation away
 * before it sends: so assistant-ui edits a message.
 */
function firstTakenAway<Message extends UIMessage>(
  setMessages: UseChatHelpers<Message>['setMessages'],
  begun: readonly Message[],
): Message | undefined {
  let shown: readonly Message[] = begun;
  // The present ones, which those of the last render may not be any more.
  setMessages((present) => {
    shown = present;
    return present;
  });
  const isBegin = shown.every(({ id }, index) => begun[index]?.id === id);
  return isBegin ? begun.slice(shown.length).find(({ role }) => role === 'user') : undefined;
}

type NewMessage = Exclude<Parameters<UseChatHelpers<UIMessage>['sendMessage']>[0], undefined>;

function textMessage(message: NewMessage | object): { text: string; messageId?: string } {
  const { text, parts, id } = message as { text?: string; parts?: UIMessage['parts']; id?: string };
  return { text: text ?? textOf({ parts: parts ?? [] }), ...(id !== undefined && { messageId: id }) };
}
