import { foreignMark } from '../words.ts';
import type { View } from './view.ts';
import type { Violation } from './violation.ts';

/** How a door that is not one's own may answer: as if there were none. */
const SHUT = new Set(['session_not_found', 'unauthorized', 'rate_limited', 'draining', 'unavailable']);

/** I6: nothing that a client was given is of another session, and nobody gets in by a key of one's own. */
export function checkForeign({ evidence }: View): Violation[] {
  const violations: Violation[] = [];
  for (const { name, session, records } of [...evidence.clients, ...evidence.readers]) {
    const id = evidence.sessions.find(({ number }) => number === session)?.sessionId;
    for (const record of records) {
      const wrong = (what: string): void => {
        violations.push({
          invariant: 'I6',
          where: `session ${session}, client ${name}, at ${record.at} ms`,
          what,
        });
      };
      if (record.kind === 'trespassed') {
        const { request, answer } = record;
        const code = (answer as { error?: { code: string } }).error?.code ?? '';
        if (record.ok) wrong(`${request} of session ${record.session}, which is another's, was granted`);
        else if (!SHUT.has(code)) wrong(`${request} of session ${record.session} was refused with ${code}, which tells that it is there`); // prettier-ignore
      }
      const given =
        record.kind === 'opened' ? record.opened : record.kind === 'packet' ? record.packet : undefined;
      if (given && given.sessionId !== id) wrong(`was given the ${record.kind} of ${given.sessionId}`);
      if (record.kind === 'sent' || record.kind === 'cut') continue;
      const foreign = foreignMark(JSON.stringify(record), session);
      if (foreign !== undefined) wrong(`was given text of another session: ${JSON.stringify(foreign)}`);
    }
  }
  return violations;
}
