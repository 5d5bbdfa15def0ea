import type { View } from './view.ts';
import type { Violation } from './violation.ts';

/** I7: the process lives, answers, and holds nothing any more. */
export function checkHealth({ evidence: { health, clients } }: View): Violation[] {
  const found = [
    ...health.deaths.map((what) => ({ where: "the gateway's process", what })),
    ...health.leftovers.map((what) => ({ where: 'after the load', what })),
  ];
  for (const { name, session, records } of clients) {
    for (const record of records) {
      if (record.kind !== 'refused' && record.kind !== 'failed') continue;
      const { code, message } = record.error;
      // A handshake's session is its client's own: nothing but the store may stand in its way.
      const expected = record.kind === 'refused' ? code !== 'internal' : code === 'unavailable';
      if (!expected) found.push({ where: `session ${session}, client ${name}, at ${record.at} ms`, what: `${record.kind}: ${code}: ${message}` }); // prettier-ignore
    }
  }
  return found.map((each) => ({ invariant: 'I7' as const, ...each }));
}
