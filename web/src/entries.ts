import type { UIMessage } from 'ai';
import type { AgentSummary, MessageMetadata, TurnEvent } from 'mooring-client';
import type { MooringChat, QueuedMessage } from 'mooring-client/react';
import { PLACEHOLDER_TEXT } from '../../src/protocol.js';
import { endingOf, wordsOf } from './words.js';

export type ChatMessage = UIMessage<MessageMetadata>;

/** What the list shows as one message. */
export interface Entry {
  readonly id: string;
  readonly role: 'user' | 'assistant';
  /** Of a user's: sending, failed, queued, sent; of an answer: streaming, or how its turn ended. */
  readonly status: string;
  readonly parts: ChatMessage['parts'];
  readonly author?: string | undefined;
  /** What is to be said about it. */
  readonly note?: string | undefined;
  /** What can be done about it. */
  readonly actions: readonly EntryAction[];
  /** With `withdraw`. */
  readonly turnId?: string | undefined;
}

export type EntryAction = 'again' | 'discard' | 'retry' | 'withdraw' | 'edit' | 'copy';

type Shown = Pick<MooringChat<ChatMessage>, 'messages' | 'queue' | 'state'>;

/** In order: the conversation, then what waits and what is on its way to it. */
export function entriesOf({ messages, queue, state }: Shown, agents: readonly AgentSummary[]): Entry[] {
  const { turns, outbox, ended, ends } = state;
  const isIdle = turns.length === 0 && !ended;
  const unsent = new Set(outbox.filter((item) => item.state === 'sending').map(({ id }) => id));
  const shown = messages.map((message, index): Entry => {
    if (message.role === 'user') {
      const status = unsent.has(message.id) ? 'sending' : 'sent';
      return userEntry(message, status, isIdle && status === 'sent' ? ['edit'] : []);
    }
    const isOpen = turns.some(({ turnId }) => turnId === message.metadata?.turnId);
    const isLast = index === messages.length - 1;
    return answerEntry(message, { isOpen, canRetry: isIdle && isLast, agents, ends });
  });
  return [...shown, ...queue.map(queuedEntry)];
}

const USER_NOTES: Record<string, string> = { queued: 'Waiting its turn', sending: 'Sending…' };

function userEntry(
  { id, parts }: Pick<ChatMessage, 'id' | 'parts'>,
  status: string,
  actions: readonly EntryAction[],
): Entry {
  return { id, role: 'user', status, parts, note: USER_NOTES[status], actions };
}

function queuedEntry({ id, text, state, turnId, error }: QueuedMessage): Entry {
  const parts: ChatMessage['parts'] = [{ type: 'text', text }];
  if (state === 'failed') {
    const note = error ? wordsOf(error) : 'It could not be sent.';
    return { ...userEntry({ id, parts }, state, ['again', 'discard']), note };
  }
  const status = state === 'accepted' ? 'sent' : state;
  return { ...userEntry({ id, parts }, status, state === 'queued' ? ['withdraw'] : []), turnId };
}

interface AnswerContext {
  isOpen: boolean;
  canRetry: boolean;
  agents: readonly AgentSummary[];
  ends: Readonly<Record<string, TurnEvent>>;
}

function answerEntry(
  { id, parts, metadata = {} }: ChatMessage,
  { isOpen, canRetry, agents, ends }: AnswerContext,
): Entry {
  const { agent, turnId = '' } = metadata;
  const status = metadata.status ?? (isOpen ? 'streaming' : 'completed');
  const author = agents.find((each) => each.id === agent)?.name ?? agent;
  const note = endingOf(status, ends[turnId]);
  const shown = status === 'completed' ? parts : withoutPlaceholder(parts);
  const actions: EntryAction[] = status === 'streaming' || shown.length === 0 ? [] : ['copy'];
  if (canRetry && status !== 'streaming') actions.push('retry');
  return { id, role: 'assistant', status, parts: shown, author, note, actions };
}

/** What the model is told in place of an answer that never came is not what a person should read: the note says why. */
function withoutPlaceholder(parts: ChatMessage['parts']): ChatMessage['parts'] {
  const isPlaceholder = (part: ChatMessage['parts'][number]): boolean =>
    part.type === 'text' && part.text === PLACEHOLDER_TEXT;
  return parts.some(isPlaceholder) ? parts.filter((part) => !isPlaceholder(part)) : parts;
}

/** What was answered, and why it is not a whole answer, for those who hear it. */
export function wordsOfAnswer(
  { parts, metadata = {} }: ChatMessage,
  ends: Readonly<Record<string, TurnEvent>>,
): string {
  const { status = 'completed', turnId = '' } = metadata;
  const text = textOf({ parts: status === 'completed' ? parts : withoutPlaceholder(parts) });
  return [text, endingOf(status, ends[turnId])].filter(Boolean).join(' ');
}

/** The text of an entry, without its thoughts and tools. */
export function textOf({ parts }: Pick<Entry, 'parts'>): string {
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}
