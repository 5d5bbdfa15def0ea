/**
 * What the protocol's codes mean to a person.
 *
 * @typedef {import('../src/protocol.js').TurnEvent} TurnEvent
 */

const ERRORS = {
  agent_not_found: 'That agent is not there any more.',
  draining: 'The server is about to restart. Try again in a moment.',
  message_conflict: 'This message was sent before with other words.',
  payload_too_large: 'This message is too long.',
  queue_full: 'Too many messages are waiting. Try again when some are answered.',
  rate_limited: 'That was a little fast. Try again in a moment.',
  session_busy: 'An answer is still being written.',
  too_many_sessions: 'Too many windows have this conversation open.',
  unauthorized: 'This server asks for a sign-in, which this page does not have.',
  unavailable: 'The server cannot store anything at the moment, so nothing was sent.',
};

const TURN_ERRORS = {
  provider_error: 'The model could not answer.',
  provider_timeout: 'The model took too long to answer.',
  provider_rate_limited: 'The model is asked too much at the moment.',
  provider_unauthorized: 'The model refused the credentials of this server.',
  content_filter: 'The model withheld its answer.',
  context_overflow: 'The conversation is too long for the model.',
  tool_limit: 'The agent used its tools too often without coming to an end.',
  turn_timeout: 'The answer took too long.',
};

const INTERRUPTIONS = {
  message: 'Interrupted by a newer message.',
  detached: 'Ended because nobody was connected.',
  closed: 'Ended with the conversation.',
  node_lost: 'Interrupted: the server was lost in the middle of it.',
  draining: 'Interrupted: the server had to restart.',
};

const STATES = {
  cancelled: 'Stopped.',
  interrupted: 'Interrupted.',
  failed: 'The answer failed.',
};

/** @param {{code?: string, message: string}} error of a request */
export function wordsOf(error) {
  return ERRORS[error.code] ?? error.message;
}

/**
 * Why an answer is not a whole one; undefined where it is.
 * @param {string | undefined} status of the answer
 * @param {TurnEvent | undefined} end how its turn ended, where we saw it
 */
export function endingOf(status, end) {
  if (end?.error) return TURN_ERRORS[end.error.code] ?? end.error.message;
  if (end?.reason) return INTERRUPTIONS[end.reason] ?? STATES.interrupted;
  if (end?.finishReason === 'length') return 'The answer reached its greatest length.';
  return STATES[status];
}

/** @param {'closed' | 'expired'} state of a session */
export function wordsOfEnd(state) {
  return state === 'closed' ? 'This conversation was closed.' : 'This conversation has expired.';
}
