import type { PLACEHOLDER_TEXT, TurnEvent } from '../../src/protocol.js';
import type { CallLedger } from '../ledgers.ts';
import { textOf } from './fold.ts';
import { firstDifference, type Violation } from './violation.ts';
import type { View } from './view.ts';

const PLACEHOLDER: typeof PLACEHOLDER_TEXT =
  '[Assistant response unavailable due to connection interruption]';

/**
 * What the model sent this long before its request was closed must be kept. The promise is one flush interval;
 * the rest is for two busy processes to read what is on its way.
 */
const TAIL_MS = 1_500;

/** Faults after which everything that was sent before has arrived, since the connection ended in order. */
const ORDERLY = new Set(['stall', 'garble', 'no-finish', 'end-early']);

/** I1: stored answers against what the model sent, then what each client held against what is stored. */
export function checkTexts(view: View): Violation[] {
  const violations: Violation[] = [];
  for (const [turnId, { session, user, answer }] of view.answers) {
    const where = `session ${session}, turn ${turnId} (${user?.id}), ${answer.metadata?.status}`;
    const calls = view.calls.get(user?.id ?? '') ?? [];
    const what = differs(textOf(answer), answer.metadata?.status, calls, view);
    if (what) violations.push({ invariant: 'I1', where: `${where}, stored`, what });
  }
  for (const { ledger, held } of view.held) {
    for (const { at, event, text, whole } of held.endings) {
      const stored = view.answers.get(event.turnId);
      if (!whole) continue;
      if (view.losses.since(at)) {
        // What is stored may be of another history by now; what was shown came from the model all the same.
        const where = `session ${ledger.session}, turn ${event.turnId} (${event.messageId}), ${event.state}, held by ${ledger.name} before Redis lost it`;
        const what = isOfModel(text, event, view);
        if (what) violations.push({ invariant: 'I1', where, what });
        continue;
      }
      if (!stored) continue;
      const expected = textOf(stored.answer);
      if (text === expected) continue;
      const where = `session ${ledger.session}, turn ${event.turnId} (${event.messageId}), ${event.state}, held by ${ledger.name}`;
      violations.push({ invariant: 'I1', where, what: firstDifference(expected, text) });
    }
    for (const { at, message } of held.messages) {
      if (view.losses.since(at)) continue;
      const stored = view.answers.get(message.metadata?.turnId ?? '')?.answer;
      if (!stored || textOf(message) === textOf(stored)) continue;
      const where = `session ${ledger.session}, message ${message.id}, given as a whole to ${ledger.name}`;
      violations.push({ invariant: 'I1', where, what: firstDifference(textOf(stored), textOf(message)) });
    }
  }
  return violations;
}

/** The requests of the run whose answer is stored: another one before is one that Redis lost. */
function lastRun(calls: CallLedger[], { losses }: View): CallLedger[] {
  const begin = calls.findLastIndex(
    (call, index) => call.step === 0 && index > 0 && losses.between(calls[index - 1]?.at ?? 0, call.at),
  );
  return calls.slice(Math.max(0, begin));
}

/** What is wrong with a text that is neither an answer of the model, nor a marked prefix of one. */
function isOfModel(text: string, event: TurnEvent, { calls }: View): string | undefined {
  const list = calls.get(event.messageId) ?? [];
  const runs = list.map((_, begin) =>
    list
      .slice(begin)
      .flatMap(({ sent }) => sent.map((piece) => piece.text))
      .join(''),
  );
  const shown = text === PLACEHOLDER ? '' : text;
  if (shown === '' || runs.some((run) => run.startsWith(shown))) return undefined;
  return `the model never sent it: ${firstDifference(runs.at(-1) ?? '', shown)}`;
}

function differs(
  stored: string,
  status: string | undefined,
  calls: CallLedger[],
  view: View,
): string | undefined {
  const text = stored === PLACEHOLDER ? '' : stored;
  const sent = lastRun(calls, view).flatMap((call) => call.sent);
  const all = sent.map((piece) => piece.text).join('');
  const last = calls.at(-1);
  if (status === 'completed') {
    if (last?.finished === undefined) return 'completed, and the model never finished this answer';
    if (last.finished === 'tool_calls') return 'completed, and the model waited for the result of its call';
    return text === all ? undefined : firstDifference(all, text);
  }
  if (!all.startsWith(text)) return `no prefix of what the model sent: ${firstDifference(all, text)}`;
  if (status === 'failed' && ORDERLY.has(last?.fault ?? '') && text !== all)
    return firstDifference(all, text);
  // A gateway that could write nothing down may lose what it could not write.
  const full = view.evidence.blows.some(({ kind }) => kind === 'fill-disk');
  const killed = view.evidence.blows.some(({ kind }) => kind === 'kill');
  if (full && killed) return undefined;
  // One that somebody else took over ends where its node fell silent.
  const silentFrom = status === 'interrupted' ? view.losses.silentFrom(calls[0]?.at ?? 0) : Infinity;
  const endedAt = Math.min(last?.endedAt ?? Infinity, silentFrom);
  const due = sent
    .filter(({ at }) => at < endedAt - TAIL_MS)
    .map((piece) => piece.text)
    .join('');
  if (text.startsWith(due)) return undefined;
  return `more than the last ${TAIL_MS} ms are lost: ${firstDifference(due, text)}`;
}
