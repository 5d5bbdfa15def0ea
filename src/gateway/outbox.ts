import { LIMITS } from '../protocol.js';
import { TokenBucket } from './token.bucket.js';
import type { ClientSocket } from './socket.connection.js';

export type Transport = ClientSocket['conn'];

/**
 * What may still be answered past the limit: acknowledgements and refusals that were on their way. A peer that
 * makes the server say more than that while it does not read floods it.
 */
const PACKETS_PAST_LIMIT = 128;

/** The `ws` library's socket behind a WebSocket transport. */
interface WebSocketLike {
  terminate?: () => void;
  on?: (event: 'ping', listener: () => void) => void;
}

interface Waiter {
  /** How many bytes may still be unsent. */
  bytes: number;
  resolve: () => void;
}

const outboxes = new WeakMap<Transport, Outbox>();

/** The one outbox of a transport. */
export function outboxOf(transport: Transport): Outbox {
  const known = outboxes.get(transport);
  if (known) return known;
  const made = new Outbox(transport);
  outboxes.set(transport, made);
  return made;
}

/**
 * Counts what was handed to a transport and is not yet written, whoever sent it: a peer that does not read must
 * not make the process hold everything that is sent to it.
 */
export class Outbox {
  onDrained: () => void = () => undefined;
  #unsent = 0;
  #writing = 0;
  #pastLimit = 0;
  #closed = false;
  #stalled?: NodeJS.Timeout;
  #waiting: Waiter[] = [];

  constructor(private readonly transport: Transport) {
    transport.on('packetCreate', ({ data }) => this.#add(sizeOf(data)));
    transport.on('flush', () => {
      this.#writing = this.#unsent;
      // Engine.IO's own 'drain' says only that the transport was handed the packets; the transport's says
      // that they were written.
      transport.transport.once('drain', () => this.#drained());
    });
    transport.on('upgrading', (next) => limitPings(transport, webSocketOf(next)));
    limitPings(transport, webSocketOf(transport.transport));
    transport.once('close', () => this.#close());
  }

  get unsentBytes(): number {
    return this.#unsent;
  }

  get congested(): boolean {
    return this.#unsent > LIMITS.unsentBytes;
  }

  /** Resolves when it is not congested, or closed. */
  relieved(): Promise<void> {
    return this.#until(LIMITS.unsentBytes);
  }

  /** Resolves when all of it is written, or it is closed. */
  emptied(): Promise<void> {
    return this.#until(0);
  }

  #until(bytes: number): Promise<void> {
    if (this.#closed || this.#unsent <= bytes) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ bytes, resolve }));
  }

  #add(bytes: number): void {
    if (this.congested) this.#pastLimit += 1;
    this.#unsent += bytes;
    if (this.#pastLimit > PACKETS_PAST_LIMIT) terminate(this.transport);
    else if (this.congested) this.#watch();
  }

  #watch(): void {
    if (this.#stalled || this.#closed) return;
    this.#stalled = setTimeout(() => terminate(this.transport), LIMITS.unsentTimeoutMs);
    this.#stalled.unref();
  }

  #drained(): void {
    this.#unsent = Math.max(0, this.#unsent - this.#writing);
    this.#writing = 0;
    this.#pastLimit = 0;
    if (this.#waiting.length > 0) this.#letGo();
    if (!this.#stalled) return;
    clearTimeout(this.#stalled);
    this.#stalled = undefined;
    if (this.congested) this.#watch();
    else this.onDrained();
  }

  #close(): void {
    this.#closed = true;
    clearTimeout(this.#stalled);
    this.#letGo();
  }

  #letGo(): void {
    for (const waiter of this.#waiting.splice(0)) {
      if (this.#closed || this.#unsent <= waiter.bytes) waiter.resolve();
      else this.#waiting.push(waiter);
    }
  }
}

/**
 * Ends a transport without the closing handshake, for which a peer that does not read would be waited.
 */
export function terminate(transport: Transport): void {
  const socket = webSocketOf(transport.transport);
  if (socket?.terminate) socket.terminate();
  else transport.close(true);
}

/**
 * `ws` answers pings by itself, read or not, past every count of what is unsent. Whoever sends more of them than
 * of requests is no keep-alive.
 */
function limitPings(transport: Transport, socket: WebSocketLike | undefined): void {
  let bucket: TokenBucket | undefined;
  socket?.on?.('ping', () => {
    bucket ??= new TokenBucket(LIMITS.requestBurst, LIMITS.requestsPerMinute);
    if (!bucket.take().ok) terminate(transport);
  });
}

function webSocketOf(transport: unknown): WebSocketLike | undefined {
  return (transport as { socket?: WebSocketLike }).socket;
}

function sizeOf(data: unknown): number {
  if (typeof data === 'string') return Buffer.byteLength(data);
  return ArrayBuffer.isView(data) ? data.byteLength : 0;
}
