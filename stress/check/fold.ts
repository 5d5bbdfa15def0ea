import type { EventPacket, OpenedSession, SessionEvent, TurnEvent, UIMessage } from '../../src/protocol.js';
import type { ClientLedger } from '../ledgers.ts';

/*
 * What a client holds, folded from what it was given: a second reading of the contract, which shares no code with
 * the gateway's own.
 */

/** How a turn ended before a client's eyes, and the text that it held then. */
export interface SeenEnding {
  at: number;
  epoch: string;
  event: TurnEvent;
  text: string;
  /** From chunks that it saw all of, or a message as a whole. */
  whole: boolean;
}

export interface Held {
  endings: SeenEnding[];
  /** Events of turns that had ended before, in the same history. */
  late: SessionEvent[];
  /** Turns that it saw open and, in the end, not ended: by turn. */
  open: Map<string, TurnEvent>;
  /** Every message that it was ever given as a whole. */
  messages: { at: number; message: UIMessage }[];
  /** Each event of the log that is no delta, as it came; a snapshot's may have seqs of their own. */
  events: { epoch: string; event: SessionEvent }[];
}

interface Answer {
  parts: { id: string; text: string; open: boolean }[];
}

export function textOf(message: UIMessage): string {
  return message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

export function foldLedger({ records }: ClientLedger): Held {
  const fold = new Fold();
  for (const record of records) {
    if (record.kind === 'opened') fold.opened(record.opened, record.at);
    else if (record.kind === 'packet') fold.packet(record.packet, record.at);
  }
  return fold.held;
}

class Fold {
  readonly held: Held = { endings: [], late: [], open: new Map(), messages: [], events: [] };
  #answers = new Map<string, Answer>();
  #unrun = new Map<string, UIMessage>();
  #ended = new Set<string>();
  #epoch = '';

  opened(opened: OpenedSession, at: number): void {
    const { events } = this.held;
    const known = events.length;
    if (!opened.recovered) {
      this.#answers.clear();
      this.#unrun.clear();
      this.#ended.clear();
      this.held.open.clear();
      this.held.messages.push(...opened.messages.map((message) => ({ at, message })));
    }
    this.#epoch = opened.position.epoch;
    this.#applyAll(opened.events, at);
    if (!opened.recovered) events.length = known;
  }

  packet({ epoch, events }: EventPacket, at: number): void {
    this.#epoch = epoch;
    this.#applyAll(events, at);
  }

  #applyAll(events: readonly SessionEvent[], at: number): void {
    for (const event of events) this.#apply(event, at);
  }

  #apply(event: SessionEvent, at: number): void {
    if (event.type === 'chunk' && this.#ended.has(event.turnId)) this.held.late.push(event);
    const isDelta = event.type === 'chunk' && event.chunk.type.endsWith('-delta');
    if (!isDelta) this.held.events.push({ epoch: this.#epoch, event });
    if (event.type === 'message') {
      this.held.messages.push({ at, message: event.message });
      const { turnId } = event.message.metadata ?? {};
      if (turnId !== undefined) this.#unrun.set(turnId, event.message);
    } else if (event.type === 'turn') this.#turn(event, at);
    else if (event.type === 'chunk') this.#chunk(event);
  }

  #turn(event: TurnEvent, at: number): void {
    const { turnId, state } = event;
    if (state === 'queued' || state === 'running') {
      this.held.open.set(turnId, event);
      if (state === 'running') this.#answers.set(turnId, { parts: [] });
      return;
    }
    this.held.open.delete(turnId);
    this.#ended.add(turnId);
    const unrun = this.#unrun.get(turnId);
    const answer = this.#answers.get(turnId);
    const text = answer ? answer.parts.map((part) => part.text).join('') : unrun ? textOf(unrun) : '';
    this.held.endings.push({
      at,
      epoch: this.#epoch,
      event,
      text,
      whole: answer !== undefined || unrun !== undefined,
    });
    this.#answers.delete(turnId);
  }

  #chunk({ turnId, chunk }: Extract<SessionEvent, { type: 'chunk' }>): void {
    const answer = this.#answers.get(turnId);
    if (!answer) return;
    if (chunk.type === 'text-start') answer.parts.push({ id: chunk.id, text: '', open: true });
    if (chunk.type !== 'text-delta' && chunk.type !== 'text-end') return;
    const part = answer.parts.findLast(({ id, open }) => id === chunk.id && open);
    if (part && chunk.type === 'text-delta') part.text += chunk.delta;
    else if (part) part.open = false;
  }
}
