import type { UIMessage } from '../../src/protocol.js';
import { messageId } from '../client.ts';
import type { CallLedger, ClientLedger, Evidence } from '../ledgers.ts';
import { foldLedger, type Held } from './fold.ts';
import { Losses } from './losses.ts';

/** The evidence, looked up in the ways in which the checks ask for it. */
export interface View {
  evidence: Evidence;
  losses: Losses;
  /** Every client and every reader, with what it held. */
  held: { ledger: ClientLedger; held: Held }[];
  /** Calls to the model in their order, by the id of the message that they answer. */
  calls: Map<string, CallLedger[]>;
  /** Stored answers by their turn. */
  answers: Map<string, { session: number; user: UIMessage | undefined; answer: UIMessage }>;
}

export function viewOf(evidence: Evidence): View {
  const calls = new Map<string, CallLedger[]>();
  for (const call of evidence.calls) {
    const id = `m-${call.session}-${call.message}`;
    calls.set(id, [...(calls.get(id) ?? []), call]);
  }
  const answers: View['answers'] = new Map();
  for (const { session, messages } of evidence.stored) {
    messages.forEach((answer, index) => {
      const { turnId } = answer.metadata ?? {};
      if (answer.role === 'assistant' && turnId !== undefined) {
        answers.set(turnId, { session, user: messages[index - 1], answer });
      }
    });
  }
  const ledgers = [...evidence.clients, ...evidence.readers];
  return {
    evidence,
    losses: new Losses(evidence.blows),
    held: ledgers.map((ledger) => ({ ledger, held: foldLedger(ledger) })),
    calls,
    answers,
  };
}

/** Plans of messages, by id: several clients may send the same. */
export function plannedMessages({
  sessions,
}: Evidence): Map<string, { session: number; message: number; text: string }> {
  const planned = new Map<string, { session: number; message: number; text: string }>();
  for (const session of sessions) {
    for (const act of session.clients.flatMap(({ acts }) => acts)) {
      if (act.do !== 'send') continue;
      const { message, text } = act;
      planned.set(messageId(session, message), { session: session.number, message, text });
    }
  }
  return planned;
}
