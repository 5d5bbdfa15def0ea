import { runningTurn, waitingTurns } from './conversation.js';
import { endingOf } from './words.js';

/**
 * @typedef {import('./conversation.js').Conversation} Conversation
 * @typedef {import('./message.js').Entry} Entry
 * @typedef {import('./outbox.js').Outgoing} Outgoing
 * @typedef {import('../src/protocol.js').AgentSummary} AgentSummary
 */

/**
 * What the list shows, in order: the conversation, then what is on its way to it.
 * @param {Conversation} conversation
 * @param {Outgoing[]} outbox
 * @param {AgentSummary[]} agents
 * @returns {Entry[]}
 */
export function entriesOf(conversation, outbox, agents) {
  const { messages } = conversation;
  const waiting = new Map(waitingTurns(conversation).map((turn) => [turn.messageId, turn]));
  const shown = new Set(messages.map(({ id }) => id));
  return [
    ...messages.map((message) =>
      message.role === 'user' ? userEntry(message, waiting) : answerEntry(message, conversation, agents),
    ),
    ...outbox.filter(({ messageId }) => !shown.has(messageId)).map(outgoingEntry),
  ];
}

function userEntry({ id, parts }, waiting) {
  if (!waiting.has(id)) return { id, role: 'user', status: 'sent', parts };
  return { id, role: 'user', status: 'queued', parts, note: 'Waiting its turn', action: 'withdraw' };
}

function answerEntry({ id, parts, metadata = {} }, conversation, agents) {
  const { turns, messages, ends, ended } = conversation;
  const streams = runningTurn(conversation)?.answerId === id;
  const status = metadata.status ?? (streams ? 'streaming' : 'completed');
  const author = agents.find((agent) => agent.id === metadata.agent)?.name ?? metadata.agent;
  const note = endingOf(status, ends[metadata.turnId]);
  const isLast = messages.at(-1).id === id && turns.length === 0 && !ended;
  const action = isLast && note ? 'retry' : undefined;
  return { id, role: 'assistant', status, parts, author, note, action };
}

function outgoingEntry({ messageId: id, text, state, error }) {
  const entry = { id, role: 'user', parts: [{ type: 'text', text }] };
  if (state === 'failed') return { ...entry, status: 'failed', note: error, action: 'again' };
  return state === 'sending'
    ? { ...entry, status: 'sending', note: 'Sending…' }
    : { ...entry, status: 'sent' };
}
