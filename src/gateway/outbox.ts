import { LIMITS } from '../protocol.js';
import { socketPastEngine, terminate, type Engine, type Transport } from './transport.js';

/**
 * What may still be answered past the limit: acknowledgements and refusals that were on their way. A peer that
 * makes the server say more than that while it does not read floods it.
 */
export const PACKETS_PAST_LIMIT = 128;

interface Waiter {
  /** How many bytes may still be unsent. */
  bytes: number;
  resolve: () => void;
}

const outboxes = new WeakMap<Transport, Outbox>();

/** Makes the outboxes of an engine's transports; what was sent before that, the handshake, is not counted. */
export function makeOutboxes(engine: Engine): void {
  engine.on('connection', (transport: Transport) => outboxes.set(transport, new Outbox(transport)));
  engine.on('flush', (transport: Transport) => outboxes.get(transport)?.flushing());
}

/** The one outbox of a transport. */
export function outboxOf(transport: Transport): Outbox {
  const outbox = outboxes.get(transport);
  if (!outbox) throw new Error('a transport that no engine announced');
  return outbox;
}

/**
 * Counts what was handed to a transport and is not yet written, whoever sent it: a peer that does not read must
 * not make the process hold everything that is sent to it.
 */
export class Outbox {
  onDrained: () => void = () => undefined;
  /** Bytes of Engine.IO's packets, and of frames that went past it. */
  #unsent = 0;
  #frames = 0;
  #writing = 0;
  #pastLimit = 0;
  #closed = false;
  #stalled?: NodeJS.Timeout;
  #waiting: Waiter[] = [];

  constructor(private readonly transport: Transport) {
    transport.on('packetCreate', ({ data }) => this.#add(sizeOf(data)));
  }

  get unsentBytes(): number {
    return this.#unsent + this.#frames;
  }

  get congested(): boolean {
    return this.unsentBytes > LIMITS.unsentBytes;
  }

  /**
   * Writes a frame to a WebSocket, past Engine.IO, to which a packet is half a dozen events.
   * @returns false where it has to be sent as a packet
   */
  writeFrame(frame: Buffer): boolean {
    const socket = socketPastEngine(this.transport);
    if (!socket) return false;
    this.#frames += frame.length;
    socket.write(frame, (error) => {
      // What it closes with stays unsent.
      if (error) return;
      this.#frames -= frame.length;
      this.#relax();
    });
    if (this.congested) this.#watch();
    return true;
  }

  /** Resolves when it is not congested, or closed. */
  relieved(): Promise<void> {
    return this.#until(LIMITS.unsentBytes);
  }

  /** Resolves when all of it is written, or it is closed. */
  emptied(): Promise<void> {
    return this.#until(0);
  }

  /** All that is unsent is handed to the transport below. */
  flushing(): void {
    this.#writing = this.#unsent;
    // Engine.IO's own 'drain' says only that the transport was handed the packets; the transport's says that
    // they were written.
    this.transport.transport.once('drain', () => this.#drained());
  }

  /** The transport has closed: nothing will be written any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#stalled);
    this.#letGo();
  }

  #until(bytes: number): Promise<void> {
    if (this.#closed || this.unsentBytes <= bytes) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ bytes, resolve }));
  }

  #add(bytes: number): void {
    if (this.congested) this.#pastLimit += 1;
    this.#unsent += bytes;
    if (this.#pastLimit > PACKETS_PAST_LIMIT) terminate(this.transport, 'flood');
    else if (this.congested) this.#watch();
  }

  #watch(): void {
    if (this.#stalled || this.#closed) return;
    this.#stalled = setTimeout(() => terminate(this.transport, 'unsent'), LIMITS.unsentTimeoutMs);
    this.#stalled.unref();
  }

  #drained(): void {
    this.#unsent = Math.max(0, this.#unsent - this.#writing);
    this.#writing = 0;
    this.#relax();
  }

  /** Something was written. */
  #relax(): void {
    this.#pastLimit = 0;
    if (this.#waiting.length > 0) this.#letGo();
    if (!this.#stalled) return;
    clearTimeout(this.#stalled);
    this.#stalled = undefined;
    if (this.congested) this.#watch();
    else this.onDrained();
  }

  #letGo(): void {
    for (const waiter of this.#waiting.splice(0)) {
      if (this.#closed || this.unsentBytes <= waiter.bytes) waiter.resolve();
      else this.#waiting.push(waiter);
    }
  }
}

function sizeOf(data: unknown): number {
  if (typeof data === 'string') return Buffer.byteLength(data);
  return ArrayBuffer.isView(data) ? data.byteLength : 0;
}
