import type { TurnEvent } from '../../src/protocol.js';
import type { ModelFault } from '../plan.ts';
import type { View } from './view.ts';
import type { Violation } from './violation.ts';

const CODES: Record<ModelFault, string> = {
  hang: 'provider_timeout',
  stall: 'provider_timeout',
  reset: 'provider_error',
  'reset-in-character': 'provider_error',
  garble: 'provider_error',
  'refuse-429': 'provider_rate_limited',
  'refuse-500': 'provider_error',
  'no-finish': 'provider_error',
  'end-early': 'provider_error',
};

/** Who saw a turn end, when, and in which history. */
interface Ending {
  at: number;
  epoch: string;
  event: TurnEvent;
  json: string;
  name: string;
  session: number;
}

/** I3: one ending of each turn, the same to everybody and in the store, and one that something explains. */
export function checkEndings(view: View): Violation[] {
  const violations: Violation[] = [];
  const endings = new Map<string, Ending>();
  for (const { ledger, held } of view.held) {
    const where = (turnId: string): string =>
      `session ${ledger.session}, turn ${turnId}, client ${ledger.name}`;
    const wrong = (turnId: string, what: string): void => {
      violations.push({ invariant: 'I3', where: where(turnId), what });
    };
    const seen = new Map<string, Ending>();
    for (const { at, epoch, event } of held.endings) {
      const { seq: _seq, ...said } = event as TurnEvent & { seq: number };
      const json = JSON.stringify(said);
      const ending: Ending = { at, epoch, event, json, name: ledger.name, session: ledger.session };
      const before = seen.get(event.turnId);
      if (before && !isAnew(before, ending, view))
        wrong(event.turnId, `ended twice:\n  ${before.json}\n  ${json}`);
      seen.set(event.turnId, ending);
      const known = endings.get(event.turnId);
      const differs = known && known.json !== json && !isAnew(known, ending, view);
      if (differs)
        wrong(event.turnId, `ended otherwise:\n  for ${known.name}: ${known.json}\n  here: ${json}`);
      if (!known || (isAnew(known, ending, view) && known.at < at)) endings.set(event.turnId, ending);
    }
    for (const event of held.late)
      if ('turnId' in event) wrong(event.turnId, `goes on after its end: ${JSON.stringify(event)}`);
    for (const [turnId, { state }] of held.open) wrong(turnId, `is still ${state}, though all is over`);
  }
  for (const [turnId, { at, event, name, session }] of endings) {
    const where = `session ${session}, turn ${turnId} (${event.messageId})`;
    const stored = view.losses.since(at) ? undefined : view.answers.get(turnId);
    if (!stored && !view.losses.since(at) && view.evidence.stored.some((each) => each.session === session)) {
      violations.push({
        invariant: 'I3',
        where,
        what: `ended ${event.state} for ${name}, and no answer is stored`,
      });
    }
    const status = stored?.answer.metadata?.status;
    if (stored && status !== event.state) {
      violations.push({
        invariant: 'I3',
        where,
        what: `ended ${event.state} for ${name}, and is stored as ${status}`,
      });
    }
    const unexplained = explain(view, session, event);
    if (unexplained) violations.push({ invariant: 'I3', where, what: unexplained });
  }
  for (const [turnId, { session, user, answer }] of view.answers) {
    if (endings.has(turnId) || (view.losses.restarts > 0 && wasGiven(view, turnId))) continue;
    const what = `is stored as ${answer.metadata?.status}, and nobody was told of its end`;
    violations.push({ invariant: 'I3', where: `session ${session}, turn ${turnId} (${user?.id})`, what });
  }
  return violations;
}

/** What ended in a history that Redis lost may end anew in that which followed. */
function isAnew(one: Ending, other: Ending, { losses }: View): boolean {
  const [first, last] = one.at < other.at ? [one, other] : [other, one];
  return first.epoch !== last.epoch && losses.between(first.at, last.at);
}

/** Under a new epoch the stored answer itself tells of its end. */
function wasGiven({ held }: View, turnId: string): boolean {
  return held.some(({ held: { messages } }) =>
    messages.some(({ message }) => message.role === 'assistant' && message.metadata?.turnId === turnId),
  );
}

/** What is wrong with an ending for which nothing was done. */
function explain({ evidence, calls, losses }: View, session: number, event: TurnEvent): string | undefined {
  const acts =
    evidence.sessions.find(({ number }) => number === session)?.clients.flatMap((each) => each.acts) ?? [];
  const struck = (kind: string): boolean => evidence.blows.some((blow) => blow.kind === kind);
  const unexplained = `${event.state} (${event.reason ?? event.error?.code ?? ''}), and nothing explains it`;
  switch (event.state) {
    case 'cancelled':
      return acts.some((act) => act.do === 'cancel') ? undefined : unexplained;
    case 'interrupted': {
      const explained =
        (event.reason === 'message' &&
          acts.some((act) => act.do === 'send' && act.whenBusy === 'interrupt')) ||
        (event.reason === 'node_lost' && losses.silences) ||
        (event.reason === 'draining' && struck('stop'));
      return explained ? undefined : unexplained;
    }
    case 'failed': {
      const faults = (calls.get(event.messageId) ?? []).flatMap(({ fault }) => fault ?? []);
      const codes = new Set(faults.map((fault) => CODES[fault]));
      return codes.has(event.error?.code ?? '')
        ? undefined
        : `${unexplained}; faults: ${faults.join(', ') || 'none'}`;
    }
    default:
      return undefined;
  }
}
