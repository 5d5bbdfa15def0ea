import type {
  OpenedSession,
  OpenTurn,
  SessionEvent,
  TurnEvent,
  UIMessage,
  UIMessageChunk,
} from '../../src/protocol.js';
import { mergeChunks } from '../../src/sessions/coalescer.js';
import { AnswerFold } from '../../src/sessions/message.fold.js';

/** What a client shows of a session. Once no turn is open, `messages` must equal the stored history. */
export interface ConversationView {
  messages: readonly UIMessage[];
  /** The running one first, then those that wait, in the order in which they were accepted. */
  turns: readonly OpenTurn[];
  /** The chunks of the running turn's answer so far, merged. */
  answer: readonly UIMessageChunk[];
  /** An id, once it is known. */
  agent?: string;
  ended?: 'closed' | 'expired';
}

export const EMPTY_CONVERSATION: ConversationView = { messages: [], turns: [], answer: [] };

/** What a client shows after an open: its state with what it missed, or what the snapshot holds. */
export function applyOpened(state: ConversationView, opened: OpenedSession): ConversationView {
  // The snapshot's turns are known before its events: the running one's message stands in its place already.
  const base = opened.recovered
    ? state
    : { ...EMPTY_CONVERSATION, messages: opened.messages, turns: opened.turns };
  return { ...applyEvents(base, opened.events), agent: opened.agent.id };
}

/** What a client shows after these events of the log. The given state is not changed. */
export function applyEvents(state: ConversationView, events: readonly SessionEvent[]): ConversationView {
  return events.reduce(applyEvent, state);
}

function applyEvent(state: ConversationView, event: SessionEvent): ConversationView {
  switch (event.type) {
    case 'message':
      return withMessage(state, event.message);
    case 'turn':
      return withTurn(state, event);
    case 'chunk': {
      const answer = mergeChunks([...state.answer, event.chunk]);
      return { ...withAnswer(state, event.turnId, fold(answer)), answer };
    }
    case 'truncated': {
      const last = state.messages.findIndex(({ id }) => id === event.afterMessageId);
      return { ...state, messages: state.messages.slice(0, last + 1) };
    }
    case 'agent':
      return { ...state, agent: event.agent };
    case 'session':
      return { ...state, ended: event.state };
  }
}

/** A user's message, or the answer of a turn that ended unrun, whose message stops waiting here. */
function withMessage(state: ConversationView, message: UIMessage): ConversationView {
  const turn = state.turns.find(({ turnId }) => turnId === message.metadata?.turnId);
  if (message.role === 'user' || !turn) return { ...state, messages: upsert(state.messages, message) };
  return withAnswer({ ...state, messages: stopWaiting(state, turn) }, turn.turnId, message);
}

function withTurn(state: ConversationView, event: TurnEvent): ConversationView {
  const { turnId, messageId, state: turnState } = event;
  const known = state.turns.find((turn) => turn.turnId === turnId);
  const others = state.turns.filter((turn) => turn !== known);
  switch (turnState) {
    case 'queued':
      return known ? state : { ...state, turns: [...state.turns, { turnId, messageId, state: 'queued' }] };
    case 'running': {
      const messages = known?.state === 'queued' ? stopWaiting(state, known) : state.messages;
      return { ...state, messages, turns: [{ turnId, messageId, state: 'running' }, ...others], answer: [] };
    }
    default:
      return { ...state, turns: others, answer: known?.state === 'running' ? [] : state.answer };
  }
}

/** The messages, the turn's own having moved before those that still wait. */
function stopWaiting(state: ConversationView, turn: OpenTurn): readonly UIMessage[] {
  const own = state.messages.find(({ id }) => id === turn.messageId);
  if (!own) return state.messages;
  const rest = state.messages.filter((message) => message !== own);
  return rest.toSpliced(firstWaiting(rest, state.turns, turn), 0, own);
}

/** An answer stands right after its user message; where that is not held, before those that wait. */
function withAnswer(state: ConversationView, turnId: string, answer: UIMessage): ConversationView {
  const { messages, turns } = state;
  if (messages.some(({ id }) => id === answer.id)) return { ...state, messages: upsert(messages, answer) };
  const turn = turns.find((each) => each.turnId === turnId);
  const own = messages.findIndex(({ id }) => id === turn?.messageId);
  const place = own >= 0 ? own + 1 : firstWaiting(messages, turns, turn);
  return { ...state, messages: messages.toSpliced(place, 0, answer) };
}

function firstWaiting(
  messages: readonly UIMessage[],
  turns: readonly OpenTurn[],
  except: OpenTurn | undefined,
): number {
  const waiting = new Set(
    turns
      .filter(({ state, turnId }) => state === 'queued' && turnId !== except?.turnId)
      .map(({ messageId }) => messageId),
  );
  const index = messages.findIndex(({ id }) => waiting.has(id));
  return index < 0 ? messages.length : index;
}

function upsert(messages: readonly UIMessage[], message: UIMessage): readonly UIMessage[] {
  const index = messages.findIndex(({ id }) => id === message.id);
  return index < 0 ? [...messages, message] : messages.with(index, message);
}

function fold(chunks: readonly UIMessageChunk[]): UIMessage {
  const answer = new AnswerFold();
  for (const chunk of chunks) answer.apply(chunk);
  return answer.message;
}
