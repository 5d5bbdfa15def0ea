import type { SendResult, UIMessage, UIMessageChunk } from '../protocol.js';
import type { TurnEnding } from '../sessions/turn.reader.js';

/** What is about to be told. */
export interface AcceptedTurn extends Pick<SendResult, 'turnId' | 'duplicate'> {
  /** The stored conversation, its newest messages; the turn's own answer is not among them. */
  messages: UIMessage[];
}

/** Where a turn's answer is written: an HTTP response, or a request on a WebSocket. */
export interface TurnSink {
  /** False once nobody reads it any more. */
  readonly open: boolean;
  readonly unsentBytes: number;
  /** More is unsent than it may hold: nothing is written until `onDrained` calls back. */
  readonly congested: boolean;
  /** What follows is the answer. */
  accepted(turn: AcceptedTurn): void;
  chunk(chunk: UIMessageChunk): void;
  /** The turn has ended, and so does what is written of it. */
  end(ending: TurnEnding): void;
  /** It cannot go on: ends in such a way that its reader knows that something is missing. */
  cut(): void;
  onDrained(listener: () => void): void;
  /** Calls back once, however it ends. */
  onClosed(listener: () => void): void;
}
