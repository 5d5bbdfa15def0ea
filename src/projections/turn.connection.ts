import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { EventPacket, OpenedSession, OpenTurn, SendResult, SessionEvent } from '../protocol.js';
import type { Connection, Principal } from '../sessions/connection.js';
import { storedAnswer } from '../sessions/message.chunks.js';
import { TurnReader } from '../sessions/turn.reader.js';
import type { TurnSink } from './turn.sink.js';

const logger = new Logger('TurnConnections');

/** A reader of one turn, bound to its session as a socket is: with a cursor on the same log, and as attached. */
export class TurnConnection implements Connection {
  readonly id = randomUUID();
  #reader?: TurnReader;
  #opened?: OpenedSession;
  /** What came before it was known which turn is read. */
  #early: SessionEvent[] = [];

  constructor(
    readonly principal: Principal,
    private readonly sink: TurnSink,
  ) {}

  get open(): boolean {
    return this.sink.open;
  }

  get unsentBytes(): number {
    return this.sink.unsentBytes;
  }

  get congested(): boolean {
    return this.sink.congested;
  }

  opened(opened: OpenedSession): void {
    this.#opened = opened;
  }

  send({ events }: EventPacket): void {
    if (this.#reader) this.#reader.take(events);
    else this.#early.push(...events);
  }

  reconnect(reason: string): void {
    logger.debug(`cutting a stream: ${reason}`);
    this.sink.cut();
  }

  /** The turn that ran, or was about to, as the session was opened. */
  get openTurn(): OpenTurn | undefined {
    return this.#opened?.turns[0];
  }

  /** Tells the turn from its start, and goes on until it ends. */
  follow({ turnId, state, duplicate }: Pick<SendResult, 'turnId' | 'state' | 'duplicate'>): void {
    const { events = [], messages = [] } = this.#opened ?? {};
    const answer = messages.find(({ role, metadata }) => role === 'assistant' && metadata?.turnId === turnId);
    this.sink.accepted({ turnId, duplicate, messages: messages.filter((message) => message !== answer) });
    const reader = new TurnReader(turnId, this.sink);
    reader.take(events);
    reader.take(this.#early);
    this.#reader = reader;
    this.#opened = undefined;
    this.#early = [];
    if (reader.ended || state === 'queued' || state === 'running') return;
    // A repeated request, of a turn that had ended before. Its answer may be older than what a snapshot holds.
    if (answer) reader.catchUp(storedAnswer(answer));
    reader.end({ state });
  }
}
