import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import { DirectReads } from './direct.reads.js';

/** What Node has no public name for: a socket's end of the operating system. Absent once it is closed. */
interface Handle {
  /** Below 0 where there is none, as on Windows. */
  readonly fd: number;
  readStart(): unknown;
  readStop(): unknown;
}

/** A connection that may be left unread for a while; what comes meanwhile waits in the kernel. */
export class Connection {
  #isHeld = false;

  constructor(
    private readonly socket: Socket | undefined,
    private readonly reads: DirectReads,
  ) {}

  /** Stops reading; nothing happens where that cannot be done. */
  hold(): void {
    this.#isHeld = true;
    this.#handle?.readStop?.();
  }

  /** Reads on, as things come. This or {@link readNow} is to be called after each {@link hold}. */
  release(): void {
    this.#isHeld = false;
    this.#handle?.readStart?.();
  }

  /**
   * Reads what has come, and then on unless it is held again. Cheaper than {@link release} where something has come,
   * since the event loop has nothing to do with it, and dearer where nothing has.
   */
  readNow(): void {
    this.#isHeld = false;
    // What can be read below TLS is no bytes of a response.
    const fd = this.socket instanceof TLSSocket ? -1 : (this.#handle?.fd ?? -1);
    if (this.socket && fd >= 0) this.reads.readNow(this.socket, fd);
    if (!this.#isHeld) this.release();
  }

  get #handle(): Partial<Handle> | null | undefined {
    return (this.socket as unknown as { _handle?: Partial<Handle> | null } | undefined)?._handle;
  }
}

export interface VendorResponse {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  connection: Connection;
}

/** Is told of one response, in this order; after `onEnd` or `onError` of nothing more. */
export interface Receiver {
  onResponse(response: VendorResponse): void;
  /** @param bytes hold until {@link onRead}, or what comes instead of it: the next read writes over them */
  onData(bytes: Buffer): void;
  /** All that one read of the socket brought has been told. */
  onRead(): void;
  onEnd(): void;
  onError(error: Error): void;
}

/** The connections to a vendor. The caller limits how long anything may take. */
export class VendorConnections {
  readonly #reads = new DirectReads(
    (socket) => {
      this.#reading = socket;
      this.#receiver = undefined;
    },
    () => {
      this.#reading = undefined;
      this.#receiver?.onRead();
    },
  );
  readonly #open = buildConnector({ onread: this.#reads.options } as buildConnector.BuildOptions);
  readonly #agent = new Agent({
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (options, callback) => this.#connect(options, callback),
  });
  /** The one whose bytes are just being handed on, and who was told of them. */
  #reading?: Socket;
  #receiver?: Receiver;

  /**
   * Sends a request. Its response is handed on as undici parses it: a stream in between costs more than that.
   * @returns what gives the request up, and its connection with it; nothing happens where it has ended
   */
  send(
    request: Dispatcher.DispatchOptions & { origin: string },
    receiver: Receiver,
  ): (reason: Error) => void {
    let controller: Dispatcher.DispatchController | undefined;
    let givenUp: Error | undefined;
    this.#agent.dispatch(request, {
      onRequestStart: (started) => {
        controller = started;
        if (givenUp) controller.abort(givenUp);
      },
      onResponseStart: (_, status, headers) => {
        // undici does not say on which connection a response comes; its headers are parsed while that is read.
        const connection = new Connection(this.#reading, this.#reads);
        if (status >= 200) receiver.onResponse({ status, headers, connection });
      },
      onResponseData: (_, bytes) => {
        this.#receiver = receiver;
        receiver.onData(bytes);
        // Bytes that had to wait in the stream come without a read of the socket around them.
        if (!this.#reading) receiver.onRead();
      },
      onResponseEnd: () => receiver.onEnd(),
      onResponseError: (_, error) => receiver.onError(error),
    });
    return (reason) => {
      givenUp = reason;
      controller?.abort(reason);
    };
  }

  #connect(options: buildConnector.Options, callback: buildConnector.Callback): void {
    this.#open(options, (...[error, socket]) => {
      if (error) return callback(error, null);
      this.#reads.attach(socket);
      callback(null, socket);
    });
  }
}
