import type { Response } from 'express';
import { LIMITS, type UIMessageChunk } from '../protocol.js';
import type { TurnEnding } from '../sessions/turn.reader.js';
import type { AcceptedTurn, TurnSink } from './turn.sink.js';

/** What of a turn is written as which events; each is one JSON object. */
export interface EventFormat {
  readonly headers?: Readonly<Record<string, string>>;
  begin(turn: AcceptedTurn): object[];
  chunk(chunk: UIMessageChunk): object[];
  end(ending: TurnEnding): object[];
  /** The data of one more event, after the last. */
  readonly done?: string;
}

/** A turn as server-sent events (WHATWG HTML, section 9.2), in the body of one response. */
export class SseSink implements TurnSink {
  #open: boolean;
  #stalled?: NodeJS.Timeout;
  #alive?: NodeJS.Timeout;

  constructor(
    private readonly response: Response,
    private readonly format: EventFormat,
  ) {
    // Its reader may have gone while it was found out who that is.
    this.#open = !response.closed;
    response.once('close', () => {
      this.#open = false;
      clearTimeout(this.#stalled);
      clearInterval(this.#alive);
    });
  }

  get open(): boolean {
    return this.#open;
  }

  get unsentBytes(): number {
    return this.response.writableLength;
  }

  get congested(): boolean {
    return this.unsentBytes > LIMITS.unsentBytes;
  }

  accepted(turn: AcceptedTurn): void {
    if (!this.#open) return;
    this.response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache, no-transform',
      // nginx would gather the whole answer.
      'X-Accel-Buffering': 'no',
      ...this.format.headers,
    });
    this.response.flushHeaders();
    // A comment: proxies end what is silent for long, and a reader that has gone is noticed.
    this.#alive = setInterval(() => this.#write(':\n\n'), LIMITS.pingIntervalMs);
    this.#alive.unref();
    this.#events(this.format.begin(turn));
  }

  chunk(chunk: UIMessageChunk): void {
    this.#events(this.format.chunk(chunk));
  }

  end(ending: TurnEnding): void {
    this.#events(this.format.end(ending));
    if (this.format.done !== undefined) this.#write(`data: ${this.format.done}\n\n`);
    this.#open = false;
    this.response.end();
  }

  cut(): void {
    this.response.destroy();
  }

  onDrained(listener: () => void): void {
    this.response.on('drain', () => {
      clearTimeout(this.#stalled);
      this.#stalled = undefined;
      listener();
    });
  }

  onClosed(listener: () => void): void {
    if (this.response.closed) listener();
    else this.response.once('close', listener);
  }

  #events(events: object[]): void {
    for (const event of events) this.#write(`data: ${JSON.stringify(event)}\n\n`);
  }

  #write(text: string): void {
    if (!this.#open) return;
    this.response.write(text);
    // Who reads nothing for long is not waited for.
    if (this.congested) this.#stalled ??= setTimeout(() => this.cut(), LIMITS.unsentTimeoutMs).unref();
  }
}
