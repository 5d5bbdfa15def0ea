import type { FlushClock } from '../../streaming/flush.clock.js';
import type { ModelPart } from '../model.provider.js';
import type { ChatStream } from './chat.stream.js';
import type { Receiver, VendorResponse } from './vendor.connections.js';
import { toNetworkError, toRefusal } from './vendor.error.js';

/** Bytes of the body of a refusal that are read for the vendor's words. */
const LONGEST_REFUSAL = 64 * 1024;

/** A read of fewer bytes has emptied the socket: more comes at a model's pace, and is worth waiting for. */
const SMALL_READ = 16 * 1024;

/** How long a response may take to end after its last event, before its connection is given up. */
const ENDING_MS = 1_000;

/** Reads one response: hands on what each read of the socket brings, until the answer is whole or has failed. */
export class AnswerReader implements Receiver {
  /** Resolves when the answer is whole; rejects with a ModelError, or with what {@link fail} was given. */
  readonly read: Promise<void>;
  #resolve!: () => void;
  #reject!: (error: Error) => void;
  #settled = false;
  /** Set once the response has begun. */
  #response?: VendorResponse;
  /** The response has ended, well or not. */
  #over = false;
  #pieces: Buffer[] = [];
  #refusal: Buffer[] = [];
  #hasContent = false;
  #ending?: NodeJS.Timeout;

  /**
   * @param clock when what is read would be sent: no need to read it much before
   * @param giveUp lets go of the connection of a response that is no longer wanted
   */
  constructor(
    private readonly chat: ChatStream,
    private readonly apiKey: string | undefined,
    private readonly onPart: (part: ModelPart) => void,
    private readonly clock: Pick<FlushClock, 'beforeFlush'>,
    private readonly giveUp: () => void,
  ) {
    this.read = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  onResponse(response: VendorResponse): void {
    this.#response = response;
    if (!isRefusal(response)) this.#step(() => this.onPart({ type: 'begin' }));
  }

  onData(bytes: Buffer): void {
    if (this.#settled) return;
    if (isRefusal(this.#response)) {
      this.#refusal.push(Buffer.from(bytes));
      if (sizeOf(this.#refusal) >= LONGEST_REFUSAL) this.#refused();
    } else {
      // Vendors wrap each token into an HTTP chunk of its own: those of one read are taken together.
      this.#pieces.push(bytes);
    }
  }

  onRead(): void {
    this.#step(this.#write);
  }

  onEnd(): void {
    this.#ended();
    if (isRefusal(this.#response)) return this.#refused();
    this.#step(() => {
      this.#write();
      if (this.#settled) return;
      this.chat.end();
      this.#take();
      this.#finish();
    });
  }

  onError(error: Error): void {
    this.#ended();
    // Cut within its words: the status says enough.
    if (isRefusal(this.#response)) return this.#refused();
    this.#step(this.#write);
    this.fail(toNetworkError(error));
  }

  /** Nothing more is wanted. */
  fail(error: Error): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#reject(error);
    if (!this.#over) this.giveUp();
  }

  #refused(): void {
    const { status = 0, headers = {} } = this.#response ?? {};
    this.fail(toRefusal(status, headers, Buffer.concat(this.#refusal).toString(), this.apiKey));
  }

  readonly #write = (): void => {
    if (this.#settled || this.#pieces.length === 0) return;
    const pieces = this.#pieces;
    this.#pieces = [];
    const bytes = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
    try {
      this.chat.write(bytes);
    } finally {
      // What came before an error was said, too.
      this.#take();
    }
    if (this.chat.done) this.#finish();
    else if (this.#hasContent && bytes.length < SMALL_READ) this.#hold(pieces.length > 1);
  };

  #take(): void {
    for (const part of this.chat.take()) {
      this.onPart(part);
      this.#hasContent = true;
    }
  }

  /** @param soon whether the vendor is so quick that the next tick is sure to find something */
  #hold(soon: boolean): void {
    const connection = this.#response?.connection;
    if (this.#over || !connection) return;
    connection.hold();
    this.clock.beforeFlush(() => (soon ? connection.readNow() : connection.release()));
  }

  /** What is left of the response is dropped, so that its connection can be used again once it has ended. */
  #finish(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#resolve();
    if (!this.#over) this.#ending = setTimeout(this.giveUp, ENDING_MS).unref();
  }

  #ended(): void {
    this.#over = true;
    clearTimeout(this.#ending);
  }

  #step(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fail(error as Error);
    }
  }
}

function isRefusal(response: VendorResponse | undefined): boolean {
  return response !== undefined && response.status >= 300;
}

function sizeOf(pieces: Buffer[]): number {
  return pieces.reduce((size, { length }) => size + length, 0);
}
