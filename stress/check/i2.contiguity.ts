import type { Position, SessionEvent } from '../../src/protocol.js';
import type { ClientLedger } from '../ledgers.ts';
import type { Losses } from './losses.ts';
import type { View } from './view.ts';
import type { Violation } from './violation.ts';

/** I2: each client's packets join in (epoch, seq), and all clients of a session were told one log. */
export function checkContiguity({ evidence, held, losses }: View): Violation[] {
  const violations = held.flatMap(({ ledger }) => checkLedger(ledger, losses));
  for (const session of evidence.sessions) {
    const epochs = new Set<string>();
    const log = new Map<string, { json: string; name: string }>();
    for (const { ledger, held: its } of held.filter((each) => each.ledger.session === session.number)) {
      for (const record of ledger.records) {
        if (record.kind === 'opened') epochs.add(record.opened.position.epoch);
        if (record.kind === 'packet') epochs.add(record.packet.epoch);
      }
      for (const { epoch, event } of its.events) {
        const json = JSON.stringify(event);
        const place = `${epoch}:${event.seq}`;
        const known = log.get(place);
        if (!known) log.set(place, { json, name: ledger.name });
        else if (known.json !== json) {
          const what = `event ${place} is two things\n  to ${known.name}: ${known.json}\n  to ${ledger.name}: ${json}`;
          violations.push({ invariant: 'I2', where: `session ${session.number}`, what });
        }
      }
    }
    // At each start of Redis one for whoever looks first, and one for an owner who then writes what it still holds.
    const most = 1 + 2 * losses.restarts;
    if (epochs.size > most) {
      const what = `the epoch changed, though no history was lost: ${[...epochs].join(', ')} where at most ${most} are explained`;
      violations.push({ invariant: 'I2', where: `session ${session.number}`, what });
    }
  }
  return violations;
}

function checkLedger({ name, session, records }: ClientLedger, losses: Losses): Violation[] {
  const violations: Violation[] = [];
  let position: Position | undefined;
  for (const record of records) {
    const wrong = (what: string): void => {
      violations.push({
        invariant: 'I2',
        where: `session ${session}, client ${name}, at ${record.at} ms`,
        what,
      });
    };
    if (record.kind === 'forgot') position = undefined;
    if (record.kind === 'opened') {
      const { asked, opened } = record;
      const { recovered, events, messages } = opened;
      if (recovered) {
        if (!asked) wrong('recovered, though no position was given');
        else if (asked.epoch !== opened.position.epoch) wrong('recovered in another epoch');
        if (messages.length > 0) wrong('recovered, and yet given messages');
        checkSeqs(asked?.seq ?? 0, opened.position.seq, events, wrong);
      } else if (asked && (losses.restarts === 0 || asked.epoch === opened.position.epoch)) {
        wrong(
          `not recovered, though the log still holds all after ${said(asked)}: given ${said(opened.position)}`,
        );
      }
      position = opened.position;
    }
    if (record.kind === 'packet') {
      const { epoch, from, to, events } = record.packet;
      if (position?.epoch !== epoch || position.seq !== from) {
        wrong(`after ${said(position)} came a packet from ${said({ epoch, seq: from })} to ${to}`);
      }
      if (events.length === 0 || to <= from)
        wrong(`a packet from ${from} to ${to} with ${events.length} events`);
      checkSeqs(from, to, events, wrong);
      position = { epoch, seq: to };
    }
  }
  return violations;
}

function checkSeqs(
  from: number,
  to: number,
  events: readonly SessionEvent[],
  wrong: (what: string) => void,
): void {
  const seqs = [from, ...events.map(({ seq }) => seq)];
  const fall = seqs.findIndex((seq, index) => index > 0 && seq <= (seqs[index - 1] ?? 0));
  if (fall > 0) wrong(`event ${seqs[fall]} comes after ${seqs[fall - 1]}: twice, or out of order`);
  if ((seqs.at(-1) ?? 0) !== to)
    wrong(`events up to ${seqs.at(-1)}, though the client is said to stand at ${to}`);
}

function said(position: Position | undefined): string {
  return position ? `${position.epoch}:${position.seq}` : 'nothing';
}
