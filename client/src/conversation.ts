import type { OpenedSession, OpenTurn, SessionEvent, TurnEvent, UIMessage } from '../../src/protocol.js';
import { storedAnswer, type Answer } from '../../src/sessions/message.chunks.js';
import { AnswerFold } from '../../src/sessions/message.fold.js';

/** What a frontend shows of a session. Never changed in place: what is identical did not change. */
export interface ConversationState {
  /** In the order in which their turns ran, each answer after its user message, waiting ones last. */
  readonly messages: readonly UIMessage[];
  /** The running turn first, then those that wait. */
  readonly turns: readonly OpenTurn[];
  /** Whether older messages are stored than the first of these. */
  readonly hasMore: boolean;
  /** The present agent's id, once the session is opened. */
  readonly agent?: string;
  /** How the turns ended that ended before our eyes, by turn id. */
  readonly ends: Readonly<Record<string, TurnEvent>>;
  /** The session is over, for everyone. */
  readonly ended?: 'closed' | 'expired';
}

export const EMPTY_CONVERSATION: ConversationState = { messages: [], turns: [], hasMore: false, ends: {} };

/**
 * Folds what the gateway sends into what is shown. Once no turn is open, its messages equal the stored ones,
 * since the gateway folds the same events with the same code.
 */
export class Conversation {
  #state = EMPTY_CONVERSATION;
  /** The running answer, which grows in place; what is shown of it are copies. */
  #answer?: { turnId: string; fold: AnswerFold };
  /** The answer has chunks that no copy shows. */
  #grew = false;

  get state(): ConversationState {
    return this.#state;
  }

  /** A turn's answer as far as it came; undefined: it has not begun, or is not among the messages. */
  answerOf(turnId: string): Answer | undefined {
    if (this.#answer?.turnId === turnId) return this.#answer.fold;
    const stored = this.#state.messages.find(
      ({ role, metadata }) => role === 'assistant' && metadata?.turnId === turnId,
    );
    return stored && storedAnswer(stored);
  }

  /** The present state with what was missed; or, where the log does not reach back that far, a new state. */
  applyOpened({ recovered, messages, turns, hasMore, events, agent }: OpenedSession): void {
    if (!recovered) {
      // The snapshot's turns are known before its events: the running one's message stands in its place.
      this.#state = { ...EMPTY_CONVERSATION, messages, turns, hasMore, ends: this.#state.ends };
      this.#answer = undefined;
      this.#grew = false;
    }
    this.applyEvents(events);
    this.#state = { ...this.#state, agent: agent.id };
  }

  applyEvents(events: readonly SessionEvent[]): void {
    for (const event of events) this.#apply(event);
    this.#showAnswer();
  }

  /** Puts a page of older messages before the message that it was asked for, if that still is the first. */
  addHistory(before: string, page: { messages: readonly UIMessage[]; hasMore: boolean }): void {
    if (this.#state.messages[0]?.id !== before) return;
    const messages = [...page.messages, ...this.#state.messages];
    this.#state = { ...this.#state, messages, hasMore: page.hasMore };
  }

  #apply(event: SessionEvent): void {
    if (event.type === 'chunk') {
      if (this.#answer?.turnId !== event.turnId)
        this.#answer = { turnId: event.turnId, fold: new AnswerFold() };
      this.#answer.fold.apply(event.chunk);
      this.#grew = true;
      return;
    }
    // Whatever else happens happens after the chunks that came before it.
    this.#showAnswer();
    this.#state = applyEvent(this.#state, event);
  }

  #showAnswer(): void {
    if (!this.#grew || !this.#answer) return;
    this.#grew = false;
    const { turnId, fold } = this.#answer;
    const { id, role, metadata, parts } = fold.message;
    // Without its `start` it has no id yet.
    if (id === '') return;
    const answer: UIMessage = {
      id,
      role,
      ...(metadata && { metadata }),
      parts: parts.map((part) => ({ ...part })),
    };
    this.#state = withAnswer(this.#state, turnId, answer);
  }
}

function applyEvent(
  state: ConversationState,
  event: Exclude<SessionEvent, { type: 'chunk' }>,
): ConversationState {
  switch (event.type) {
    case 'message':
      return withMessage(state, event.message);
    case 'turn':
      return withTurn(state, event);
    case 'truncated': {
      const last = state.messages.findIndex(({ id }) => id === event.afterMessageId);
      return { ...state, messages: state.messages.slice(0, last + 1), hasMore: state.hasMore && last >= 0 };
    }
    case 'agent':
      return { ...state, agent: event.agent };
    case 'session':
      return { ...state, ended: event.state };
    default:
      // A later version's.
      return state;
  }
}

/** A user's message, or the answer of a turn that ended unrun, whose message stops waiting here. */
function withMessage(state: ConversationState, message: UIMessage): ConversationState {
  const turn = state.turns.find(({ turnId }) => turnId === message.metadata?.turnId);
  if (message.role === 'user' || !turn) return { ...state, messages: upsert(state.messages, message) };
  return withAnswer({ ...state, messages: stopWaiting(state, turn) }, turn.turnId, message);
}

function withTurn(state: ConversationState, event: TurnEvent): ConversationState {
  const { turnId, messageId } = event;
  const known = state.turns.find((turn) => turn.turnId === turnId);
  const others = state.turns.filter((turn) => turn !== known);
  switch (event.state) {
    case 'queued':
      return known ? state : { ...state, turns: [...others, { turnId, messageId, state: 'queued' }] };
    case 'running': {
      const messages = known?.state === 'queued' ? stopWaiting(state, known) : state.messages;
      return { ...state, messages, turns: [{ turnId, messageId, state: 'running' }, ...others] };
    }
    default:
      return { ...state, turns: others, ends: { ...state.ends, [turnId]: event } };
  }
}

/** An answer stands right after its user message; where that is not held, before those that wait. */
function withAnswer(state: ConversationState, turnId: string, answer: UIMessage): ConversationState {
  const { messages, turns } = state;
  if (messages.some(({ id }) => id === answer.id)) return { ...state, messages: upsert(messages, answer) };
  const turn = turns.find((each) => each.turnId === turnId);
  const own = messages.findIndex(({ id }) => id === turn?.messageId);
  const place = own >= 0 ? own + 1 : firstWaiting(messages, turns, turnId);
  return { ...state, messages: inserted(messages, place, answer) };
}

/** The messages, the turn's own having moved before those that still wait. */
function stopWaiting({ messages, turns }: ConversationState, turn: OpenTurn): readonly UIMessage[] {
  const own = messages.find(({ id }) => id === turn.messageId);
  if (!own) return messages;
  const rest = messages.filter((message) => message !== own);
  return inserted(rest, firstWaiting(rest, turns, turn.turnId), own);
}

function firstWaiting(
  messages: readonly UIMessage[],
  turns: readonly OpenTurn[],
  exceptTurnId: string,
): number {
  const waiting = new Set(
    turns
      .filter(({ state, turnId }) => state === 'queued' && turnId !== exceptTurnId)
      .map(({ messageId }) => messageId),
  );
  const index = messages.findIndex(({ id }) => waiting.has(id));
  return index < 0 ? messages.length : index;
}

function upsert(messages: readonly UIMessage[], message: UIMessage): readonly UIMessage[] {
  if (!messages.some(({ id }) => id === message.id)) return [...messages, message];
  return messages.map((each) => (each.id === message.id ? message : each));
}

function inserted<Item>(list: readonly Item[], index: number, item: Item): readonly Item[] {
  return [...list.slice(0, index), item, ...list.slice(index)];
}
