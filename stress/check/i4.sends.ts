import { textOf } from './fold.ts';
import { plannedMessages, type View } from './view.ts';
import { firstDifference, type Violation } from './violation.ts';

/** Refusals that are part of the game. */
const EXPECTED = new Set(['queue_full', 'rate_limited']);

/** Whether something was done that explains a refusal; any other is a lie about what was sent. */
function isExplained(code: string, session: number, { evidence, losses }: View): boolean {
  const { blows } = evidence;
  switch (code) {
    case 'session_busy': {
      const acts = evidence.sessions.find(({ number }) => number === session)?.clients.flatMap(({ acts }) => acts); // prettier-ignore
      return acts?.some((act) => act.do === 'send' && act.whenBusy === 'reject') ?? false;
    }
    case 'draining':
      return blows.some(({ kind }) => kind === 'stop');
    case 'unavailable':
      return blows.length > 0;
    case 'session_not_found':
      return losses.since(0);
    default:
      return EXPECTED.has(code);
  }
}

interface Answers {
  turns: Set<string>;
  /** When it was acknowledged first and last. */
  first: number;
  last: number;
  originals: number;
  gaveUp: number;
  senders: number;
  refusals: Set<string>;
}

/** I4: what was acknowledged is stored once, under one turn, and run once; what was refused is not there. */
export function checkSends(view: View): Violation[] {
  const violations: Violation[] = [];
  const answers = gather(view);
  const stored = new Map<
    string,
    { session: number; text: string; times: number; turnId: string | undefined }
  >();
  for (const { session, messages } of view.evidence.stored) {
    messages.forEach((message, index) => {
      if (message.role !== 'user') return;
      const times = (stored.get(message.id)?.times ?? 0) + 1;
      const turnId = messages[index + 1]?.metadata?.turnId;
      stored.set(message.id, { session, text: textOf(message), times, turnId });
    });
  }
  const read = new Set(view.evidence.stored.map(({ session }) => session));
  for (const [id, planned] of plannedMessages(view.evidence)) {
    const wrong = (what: string): void => {
      violations.push({ invariant: 'I4', where: `session ${planned.session}, message ${id}`, what });
    };
    const answer = answers.get(id);
    if (!answer) continue;
    const { turns, originals, refusals, first, last } = answer;
    // Redis lost what was acknowledged: the message is gone, or was taken for a new one.
    const isLost = view.losses.since(last);
    const isAnew = view.losses.between(first, last);
    const unexpected = [...refusals].filter((code) => !isExplained(code, planned.session, view));
    if (unexpected.length > 0) wrong(`refused with ${unexpected.join(', ')}`);
    if (turns.size > 1 && !isAnew) wrong(`acknowledged as ${turns.size} turns: ${[...turns].join(', ')}`);
    if (originals > 1 && !isAnew) wrong(`acknowledged ${originals} times as no duplicate`);
    const found = stored.get(id);
    if (!read.has(planned.session)) continue;
    if (turns.size > 0 && !found && !isLost) wrong('acknowledged, and not stored');
    if (turns.size === 0 && answer.gaveUp === answer.senders && found)
      wrong('refused, and stored all the same');
    if (!found) continue;
    if (found.times > 1) wrong(`stored ${found.times} times`);
    if (found.text !== planned.text)
      wrong(`stored with another text: ${firstDifference(planned.text, found.text)}`);
    if (turns.size === 1 && !turns.has(found.turnId ?? '') && !view.losses.since(first)) {
      wrong(`acknowledged as turn ${[...turns].join()}, and answered by ${found.turnId ?? 'nothing'}`);
    }
  }
  return [...violations, ...checkRuns(view)];
}

/** The model is asked again for a message only after it refused, before any content, or after its run was lost. */
function checkRuns({ calls, losses }: View): Violation[] {
  const violations: Violation[] = [];
  for (const [id, list] of calls) {
    const first = list.filter(({ step }) => step === 0);
    const again = first.find((call, index) => {
      const before = first[index - 1];
      return before && !before.repeatable && !losses.between(before.at, call.at);
    });
    if (!again) continue;
    const what = `run again: the model was asked ${first.length} times, at ${first.map(({ at }) => at).join(', ')} ms`;
    violations.push({ invariant: 'I4', where: `message ${id}`, what });
  }
  return violations;
}

function gather({ evidence }: View): Map<string, Answers> {
  const answers = new Map<string, Answers>();
  for (const { session, records } of evidence.clients) {
    const senders = new Set<string>();
    for (const record of records) {
      if (!('message' in record)) continue;
      const id = `m-${session}-${record.message}`;
      const known = answers.get(id) ?? {
        turns: new Set(),
        first: Infinity,
        last: 0,
        originals: 0,
        gaveUp: 0,
        senders: 0,
        refusals: new Set(),
      };
      answers.set(id, known);
      if (!senders.has(id)) known.senders += 1;
      senders.add(id);
      if (record.kind === 'accepted') {
        known.turns.add(record.result.turnId);
        known.first = Math.min(known.first, record.at);
        known.last = Math.max(known.last, record.at);
        if (!record.result.duplicate) known.originals += 1;
      } else if (record.kind === 'refused') known.refusals.add(record.error.code);
      else if (record.kind === 'gave-up') known.gaveUp += 1;
    }
  }
  return answers;
}
