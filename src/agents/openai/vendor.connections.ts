import type { Socket } from 'node:net';
import { Agent, buildConnector, type Dispatcher } from 'undici';

/** What Node has no public name for: a socket's end of the operating system. Absent once it is closed. */
interface Handle {
  readStart(): unknown;
  readStop(): unknown;
}

/** A connection that may be left unread for a while; what comes meanwhile waits in the kernel. */
export interface Connection {
  /** Stops reading; nothing happens where that cannot be done. */
  hold(): void;
  /** Reads on; to be called after each {@link hold}. */
  release(): void;
}

/** The connections to a vendor. The caller limits how long anything may take. */
export class VendorConnections {
  readonly #open = buildConnector({});
  readonly #agent = new Agent({
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (options, callback) => this.#connect(options, callback),
  });
  #reading?: Socket;

  request(options: Dispatcher.RequestOptions & { origin: string }): Promise<Dispatcher.ResponseData> {
    return this.#agent.request(options);
  }

  /** The one whose bytes are just being handed on: undici does not say on which a response comes. */
  get reading(): Connection {
    const socket = this.#reading as unknown as { _handle?: Partial<Handle> | null } | undefined;
    return {
      hold: () => socket?._handle?.readStop?.(),
      release: () => socket?._handle?.readStart?.(),
    };
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
