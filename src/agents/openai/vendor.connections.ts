import type { Socket } from 'node:net';
import { Agent, buildConnector, type Dispatcher } from 'undici';

/** What Node has no public name for: a socket's end of the operating system. Absent once it is closed. */
interface Handle {
  readStart(): unknown;
  readStop(): unknown;
}

/** A connection that may be left unread for a while; what comes meanwhile waits in the kernel. */
export class Connection {
  constructor(private readonly socket: Socket | undefined) {}

  /** Stops reading; nothing happens where that cannot be done. */
  hold(): void {
    this.#handle?.readStop?.();
  }

  /** Reads on; to be called after each {@link hold}. */
  release(): void {
    this.#handle?.readStart?.();
  }

  get #handle(): Partial<Handle> | null | undefined {
    return (this.socket as unknown as { _handle?: Partial<Handle> | null } | undefined)?._handle;
  }
}

export interface VendorResponse extends Dispatcher.ResponseData {
  connection: Connection;
}

/** The connections to a vendor. The caller limits how long anything may take. */
export class VendorConnections {
  readonly #open = buildConnector({});
  readonly #agent = new Agent({
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (options, callback) => this.#connect(options, callback),
  });
  /** The one whose bytes are just being handed on. */
  #reading?: Socket;

  request(options: Dispatcher.RequestOptions & { origin: string }): Promise<VendorResponse> {
    return new Promise((resolve, reject) => {
      // undici does not say on which connection a response comes. Its callback is called while the headers are
      // parsed, which a promise's continuation is not.
      this.#agent.request(options, (error, response) => {
        if (error) reject(error);
        else resolve({ ...response, connection: new Connection(this.#reading) });
      });
    });
  }

  #connect(options: buildConnector.Options, callback: buildConnector.Callback): void {
    this.#open(options, (...[error, socket]) => {
      if (error) return callback(error, null);
      // Before undici's own listener, which then hands the bytes on.
      socket.on('readable', () => (this.#reading = socket));
      callback(null, socket);
    });
  }
}
