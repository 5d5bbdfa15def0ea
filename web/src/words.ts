import type { MooringError, SessionState, TurnEvent } from 'mooring-client';

/** What the protocol's codes mean to a person. */
const ERRORS: Record<string, string> = {
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

const TURN_ERRORS: Record<string, string> = {
  provider_error: 'The model could not answer.',
  provider_timeout: 'The model took too long to answer.',
  provider_rate_limited: 'The model is asked too much at the moment.',
  provider_unauthorized: 'The model refused the credentials of this server.',
  content_filter: 'The model withheld its answer.',
  context_overflow: 'The conversation is too long for the model.',
  tool_limit: 'The agent used its tools too often without coming to an end.',
  turn_timeout: 'The answer took too long.',
};

const INTERRUPTIONS: Record<string, string> = {
  message: 'Interrupted by a newer message.',
  detached: 'Ended because nobody was connected.',
  closed: 'Ended with the conversation.',
  node_lost: 'Interrupted: the server was lost in the middle of it.',
  draining: 'Interrupted: the server had to restart.',
};

const STATES: Record<string, string> = {
  cancelled: 'Stopped.',
  interrupted: 'Interrupted.',
  failed: 'The answer failed.',
};

/** Who is asked to wait for longer than this is not told to try again in a moment. */
const MOMENT_MS = 60_000;

/** Of a request that was refused. */
export function wordsOf(error: Pick<MooringError, 'code' | 'message' | 'retryAfterMs'>): string {
  if (error.code === 'rate_limited' && (error.retryAfterMs ?? 0) > MOMENT_MS)
    return 'What may be used in a day is used up. Try again tomorrow.';
  return ERRORS[error.code] ?? error.message;
}

/** Whether it is how a turn ended, which its answer tells. */
export function isTurnError({ code }: Pick<MooringError, 'code'>): boolean {
  return code in TURN_ERRORS;
}

/**
 * Why an answer is not a whole one; undefined where it is.
 * @param end how its turn ended, where we saw it
 */
export function endingOf(status: string, end: TurnEvent | undefined): string | undefined {
  if (end?.error) return TURN_ERRORS[end.error.code] ?? end.error.message;
  if (end?.reason) return INTERRUPTIONS[end.reason] ?? STATES['interrupted'];
  if (end?.finishReason === 'length') return 'The answer reached its greatest length.';
  return STATES[status];
}

export function wordsOfEnd(state: NonNullable<SessionState['ended']>): string {
  return state === 'closed' ? 'This conversation was closed.' : 'This conversation has expired.';
}
