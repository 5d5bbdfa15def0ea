import type { WebSocket } from 'ws';
import { PACKETS_PAST_LIMIT } from '../gateway/outbox.js';
import { cutOff } from '../gateway/transport.js';
import { LIMITS, type UIMessageChunk } from '../protocol.js';
import type { TurnEnding } from '../sessions/turn.reader.js';
import type { TurnSink } from './turn.sink.js';
import { failureChunks } from './ui-message.format.js';

type Frame =
  | { type: 'start' | 'end' | 'no-active' }
  | { type: 'chunk'; sequence: number; chunk: UIMessageChunk }
  | { type: 'error'; errorText: string };

/** A WebSocket that several requests share, and what is unsent on it. */
export class WebSocketChannel {
  /** The requests that are under way, by their ids. */
  readonly sinks = new Map<string, WebSocketSink>();
  #stalled?: NodeJS.Timeout;
  /** Frames that were sent while too much was unsent. Answers wait then, so these are refusals. */
  #pastLimit = 0;

  constructor(private readonly socket: WebSocket) {
    socket.on('close', () => {
      clearTimeout(this.#stalled);
      for (const sink of [...this.sinks.values()]) sink.leave();
    });
  }

  get open(): boolean {
    return this.socket.readyState === this.socket.OPEN;
  }

  get unsentBytes(): number {
    return this.socket.bufferedAmount;
  }

  get congested(): boolean {
    return this.unsentBytes > LIMITS.unsentBytes;
  }

  send(frame: object): void {
    if (!this.open) return;
    this.#pastLimit = this.congested ? this.#pastLimit + 1 : 0;
    if (this.#pastLimit > PACKETS_PAST_LIMIT) {
      cutOff.flood += 1;
      return this.terminate();
    }
    this.socket.send(JSON.stringify(frame), () => this.#written());
    if (this.congested) this.#watch();
  }

  terminate(): void {
    this.socket.terminate();
  }

  /** Whoever reads nothing for long is not waited for. */
  #watch(): void {
    this.#stalled ??= setTimeout(() => this.terminate(), LIMITS.unsentTimeoutMs).unref();
  }

  #written(): void {
    if (!this.#stalled) return;
    clearTimeout(this.#stalled);
    this.#stalled = undefined;
    if (this.congested) return this.#watch();
    for (const sink of [...this.sinks.values()]) sink.drained();
  }
}

/** A turn as the frames of one request. */
export class WebSocketSink implements TurnSink {
  #sequence = 0;
  #left = false;
  #drained: () => void = () => undefined;
  readonly #closed: (() => void)[] = [];

  constructor(
    private readonly channel: WebSocketChannel,
    private readonly requestId: string,
  ) {}

  get open(): boolean {
    return !this.#left && this.channel.open;
  }

  /** Of all requests that share the socket. */
  get unsentBytes(): number {
    return this.channel.unsentBytes;
  }

  get congested(): boolean {
    return this.channel.congested;
  }

  accepted(): void {
    this.#send({ type: 'start' });
  }

  chunk(chunk: UIMessageChunk): void {
    this.#send({ type: 'chunk', sequence: this.#sequence, chunk });
    this.#sequence += 1;
  }

  end(ending: TurnEnding): void {
    for (const chunk of failureChunks(ending)) this.chunk(chunk);
    this.#last({ type: 'end' });
  }

  /** No turn runs that could be resumed. */
  idle(): void {
    this.#last({ type: 'no-active' });
  }

  fail(errorText: string): void {
    this.#last({ type: 'error', errorText });
  }

  cut(): void {
    this.channel.terminate();
  }

  /** Nobody waits for it any more; the turn goes on. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    for (const listener of this.#closed.splice(0)) listener();
  }

  drained(): void {
    this.#drained();
  }

  onDrained(listener: () => void): void {
    this.#drained = listener;
  }

  onClosed(listener: () => void): void {
    if (this.#left) listener();
    else this.#closed.push(listener);
  }

  #last(frame: Frame): void {
    this.#send(frame);
    this.leave();
  }

  #send(frame: Frame): void {
    if (this.open) this.channel.send({ ...frame, requestId: this.requestId });
  }
}
