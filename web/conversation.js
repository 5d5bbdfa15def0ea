/**
 * What the page shows of a conversation, folded from the session's events. Pure: nothing is changed in place,
 * so that the view can tell by identity which messages to draw again.
 *
 * @typedef {import('../src/protocol.js').SessionEvent} SessionEvent
 * @typedef {import('../src/protocol.js').TurnEvent} TurnEvent
 * @typedef {import('../src/protocol.js').OpenedSession} OpenedSession
 * @typedef {import('../src/protocol.js').UIMessage} UIMessage
 * @typedef {import('../src/protocol.js').UIMessageChunk} UIMessageChunk
 *
 * @typedef {object} Turn an open one
 * @property {string} turnId
 * @property {string} messageId the user message
 * @property {'running' | 'queued'} state
 * @property {string} [answerId] the answer, once it began
 *
 * @typedef {object} Conversation
 * @property {UIMessage[]} messages in the order of the turns, waiting ones last
 * @property {Turn[]} turns the running one first, then the waiting ones
 * @property {boolean} hasMore older messages are stored
 * @property {string} [agent] an id
 * @property {Record<string, TurnEvent>} ends how the turns ended that ended before our eyes, by turnId
 * @property {'closed' | 'expired'} [ended] the session's end
 */

/** @type {Conversation} */
export const EMPTY_CONVERSATION = { messages: [], turns: [], hasMore: false, ends: {} };

/**
 * After an open: the present state with what it missed, or the snapshot in its place.
 * @param {Conversation} state
 * @param {OpenedSession} opened
 * @returns {Conversation}
 */
export function applyOpened(state, opened) {
  const { recovered, messages, turns, hasMore, events, agent } = opened;
  // The snapshot's turns are known before its events: the running one's message stands in its place already.
  const base = recovered ? state : { ...EMPTY_CONVERSATION, messages, turns, hasMore };
  return { ...applyEvents(base, events), agent: agent.id };
}

/**
 * @param {Conversation} state
 * @param {SessionEvent[]} events
 * @returns {Conversation}
 */
export function applyEvents(state, events) {
  return events.reduce(applyEvent, state);
}

/**
 * Puts a page of older messages before the message that it was asked for.
 * @param {Conversation} state
 * @param {string} before
 * @param {{messages: UIMessage[], hasMore: boolean}} page
 * @returns {Conversation}
 */
export function withHistory(state, before, page) {
  // A snapshot may have replaced the messages while the page was on its way.
  if (state.messages[0]?.id !== before) return state;
  return { ...state, messages: [...page.messages, ...state.messages], hasMore: page.hasMore };
}

/** @param {Conversation} state */
export function runningTurn({ turns }) {
  return turns.find(({ state }) => state === 'running');
}

/** @param {Conversation} state */
export function waitingTurns({ turns }) {
  return turns.filter(({ state }) => state === 'queued');
}

/**
 * @param {Conversation} state
 * @param {SessionEvent} event
 * @returns {Conversation}
 */
function applyEvent(state, event) {
  switch (event.type) {
    case 'message':
      return withMessage(state, event.message);
    case 'turn':
      return withTurn(state, event);
    case 'chunk':
      return withChunk(state, event.turnId, event.chunk);
    case 'truncated': {
      const last = state.messages.findIndex(({ id }) => id === event.afterMessageId);
      const messages = state.messages.slice(0, last + 1);
      return { ...state, messages, hasMore: state.hasMore && last >= 0 };
    }
    case 'agent':
      return { ...state, agent: event.agent };
    case 'session':
      return { ...state, ended: event.state };
    default:
      return state;
  }
}

/** A user's message, or the answer of a turn that ended unrun, whose message stops waiting here. */
function withMessage(state, message) {
  const turn = state.turns.find(({ turnId }) => turnId === message.metadata?.turnId);
  if (message.role === 'user' || !turn) return { ...state, messages: upsert(state.messages, message) };
  return withAnswer({ ...state, messages: stopWaiting(state, turn) }, turn, message);
}

function withTurn(state, event) {
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

function withChunk(state, turnId, chunk) {
  const turn = state.turns.find((each) => each.turnId === turnId);
  if (!turn) return state;
  if (chunk.type === 'start') {
    const answer = { id: chunk.messageId, role: 'assistant', metadata: chunk.messageMetadata, parts: [] };
    const turns = state.turns.map((each) => (each === turn ? { ...turn, answerId: answer.id } : each));
    return { ...withAnswer(state, turn, answer), turns };
  }
  const messages = state.messages.map((message) =>
    message.id === turn.answerId ? applyChunk(message, chunk) : message,
  );
  return { ...state, messages };
}

/** An answer stands right after its user message; where that is not held, before those that wait. */
function withAnswer(state, turn, answer) {
  const { messages } = state;
  if (messages.some(({ id }) => id === answer.id)) return { ...state, messages: upsert(messages, answer) };
  const own = messages.findIndex(({ id }) => id === turn.messageId);
  const place = own >= 0 ? own + 1 : firstWaiting(messages, state.turns, turn);
  return { ...state, messages: inserted(messages, place, answer) };
}

/** The messages, the turn's own having moved before those that still wait. */
function stopWaiting({ messages, turns }, turn) {
  const own = messages.find(({ id }) => id === turn.messageId);
  if (!own) return messages;
  const rest = messages.filter((message) => message !== own);
  return inserted(rest, firstWaiting(rest, turns, turn), own);
}

function firstWaiting(messages, turns, except) {
  const waiting = turns.filter((turn) => turn.state === 'queued' && turn.turnId !== except.turnId);
  const index = messages.findIndex(({ id }) => waiting.some((turn) => turn.messageId === id));
  return index < 0 ? messages.length : index;
}

function upsert(messages, message) {
  if (!messages.some(({ id }) => id === message.id)) return [...messages, message];
  return messages.map((each) => (each.id === message.id ? message : each));
}

function inserted(list, index, item) {
  return [...list.slice(0, index), item, ...list.slice(index)];
}

/**
 * The answer after one more chunk. Chunks of unknown types change nothing.
 * @param {UIMessage} message
 * @param {UIMessageChunk} chunk
 * @returns {UIMessage}
 */
function applyChunk(message, chunk) {
  switch (chunk.type) {
    case 'message-metadata':
      return { ...message, metadata: { ...message.metadata, ...chunk.messageMetadata } };
    case 'start-step':
      return withPart(message, { type: 'step-start' });
    case 'text-start':
      return withPart(message, { type: 'text', id: chunk.id, text: '', state: 'streaming' });
    case 'reasoning-start':
      return withPart(message, { type: 'reasoning', id: chunk.id, text: '', state: 'streaming' });
    case 'text-delta':
    case 'reasoning-delta':
      return changePart(message, named(chunk), ({ text }) => ({ text: text + chunk.delta }));
    case 'text-end':
    case 'reasoning-end':
      return changePart(message, named(chunk), () => ({ state: 'done' }));
    case 'tool-input-start':
      return withCall(message, chunk, { state: 'input-streaming' });
    case 'tool-input-available':
      return withCall(message, chunk, { state: 'input-available', input: chunk.input });
    case 'tool-input-error': {
      const { input, errorText } = chunk;
      return withCall(message, chunk, { state: 'output-error', input, errorText });
    }
    case 'tool-output-available':
      return changePart(message, called(chunk), () => ({ state: 'output-available', output: chunk.output }));
    case 'tool-output-error':
      return changePart(message, called(chunk), () => ({
        state: 'output-error',
        errorText: chunk.errorText,
      }));
    default:
      return message;
  }
}

const named =
  ({ type, id }) =>
  (part) =>
    part.id === id && type.startsWith(part.type);

const called =
  ({ toolCallId }) =>
  (part) =>
    part.toolCallId === toolCallId;

function withPart(message, part) {
  return { ...message, parts: [...message.parts, part] };
}

/** Changes the last part that matches. */
function changePart(message, matches, change) {
  const index = message.parts.findLastIndex(matches);
  const parts = message.parts.map((part, at) => (at === index ? { ...part, ...change(part) } : part));
  return { ...message, parts };
}

/** A call belongs to its step: the same id in a later step is another call. */
function withCall(message, chunk, values) {
  const step = message.parts.findLastIndex(({ type }) => type === 'step-start');
  const known = message.parts.findLastIndex(called(chunk)) > step;
  const { toolCallId, toolName } = chunk;
  if (known) return changePart(message, called(chunk), () => values);
  return withPart(message, { type: `tool-${toolName}`, toolCallId, ...values });
}
