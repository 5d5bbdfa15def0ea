import type { TerminalState, TurnError, UIMessage } from '../../src/protocol.js';
import { closedError } from './errors.js';
import type { MooringSession, SessionState } from './session.js';

/** A turn that is over. */
export interface EndedTurn {
  readonly turnId: string;
  readonly status: TerminalState;
  /** What was answered, without thoughts and tools. */
  readonly text: string;
  /** The answer as it is stored. */
  readonly answer: UIMessage;
  /** With `failed`, where the session saw it fail. */
  readonly error?: TurnError;
}

/**
 * Waits for the end of a turn, however often the connection breaks until then.
 * @param turnId as `session.send()` gives it
 * @param withinMs how long at most, in milliseconds
 * @throws MooringError the session cannot be opened, was left, or ended without the turn
 * @throws Error the turn did not end within that time; it says how the session stood
 */
export function awaitTurn(session: MooringSession, turnId: string, withinMs = 20_000): Promise<EndedTurn> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      unsubscribe();
      act();
    };
    const look = (): void => {
      const { state } = session;
      const { error } = state;
      const ended = endedTurn(state, turnId);
      if (ended) settle(() => resolve(ended));
      else if (error) settle(() => reject(error));
      else if (state.connection === 'left' || state.ended) settle(() => reject(closedError()));
    };
    const unsubscribe = session.subscribe(look);
    const timer = setTimeout(() => settle(() => reject(lateError(session.state, turnId))), withinMs);
    look();
  });
}

function endedTurn({ messages, turns, ends }: SessionState, turnId: string): EndedTurn | undefined {
  if (turns.some((turn) => turn.turnId === turnId)) return undefined;
  const answer = messages.findLast(
    ({ role, metadata }) => role === 'assistant' && metadata?.turnId === turnId,
  );
  const status = answer?.metadata?.status;
  if (!answer || !status) return undefined;
  const text = answer.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  const { error } = ends[turnId] ?? {};
  return { turnId, status, text, answer, ...(error && { error }) };
}

function lateError({ connection, turns, messages }: SessionState, turnId: string): Error {
  const { state = 'not known to the session' } = turns.find((turn) => turn.turnId === turnId) ?? {};
  const last = messages.at(-1);
  const shown = last ? JSON.stringify(last.parts).slice(0, 200) : 'nothing';
  return new Error(
    `turn ${turnId} did not end in time: it is ${state}; the session is ${connection} and shows last: ${shown}`,
  );
}
