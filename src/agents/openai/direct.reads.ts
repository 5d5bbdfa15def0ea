import { readSync } from 'node:fs';
import type { OnReadOpts, Socket } from 'node:net';

/** As much as Node's own streams read at once. */
const READ_BYTES = 64 * 1024;

/**
 * Hands on what sockets bring as it is read, without the stream that a socket is: there each read costs a buffer
 * of its own, a tick and an event or two. undici asks a socket for bytes with `read()` once it is 'readable', and
 * needs nothing else of that stream. All sockets are read into one buffer, since one read is parsed to its end
 * before the next begins.
 */
export class DirectReads {
  /** To be given to `connect`, of sockets that {@link attach} is then told of. */
  readonly options: OnReadOpts;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  /** Of the socket that is just 'readable', until it is asked. */
  #unread: Buffer | null = null;

  /**
   * @param begins called before the bytes of one read are handed on
   * @param ends called after that
   */
  constructor(
    private readonly begins: (socket: Socket) => void,
    private readonly ends: () => void,
  ) {
    const handOn = (socket: Socket, length: number): void => this.#handOn(socket, length);
    this.options = {
      buffer: this.#buffer,
      // Node calls it on the socket.
      callback(this: Socket, length: number) {
        handOn(this, length);
        return true;
      },
    };
  }

  /**
   * Reads once what the operating system holds for a socket on which the event loop does not read just now. Its end
   * and its errors are left to the event loop, as is a socket that has nothing.
   *
   * @param fd of the socket, whose bytes must be those of the stream: no TLS in between
   */
  readNow(socket: Socket, fd: number): void {
    let length = 0;
    try {
      length = readSync(fd, this.#buffer, 0, READ_BYTES, null);
    } catch {
      // EAGAIN mostly.
    }
    if (length > 0) this.#handOn(socket, length);
  }

  /** The end of a connection still comes through the stream, which has nothing else to give. */
  attach(socket: Socket): void {
    const read = socket.read.bind(socket);
    socket.read = (size?: number): unknown => {
      const bytes = this.#unread;
      if (bytes === null) return read(size);
      this.#unread = null;
      return bytes;
    };
  }

  #handOn(socket: Socket, length: number): void {
    this.begins(socket);
    this.#unread = this.#buffer.subarray(0, length);
    socket.emit('readable');
    const left = this.#unread;
    this.#unread = null;
    // Nobody wanted them yet: then they wait in the stream.
    if (left) socket.push(Buffer.from(left));
    this.ends();
  }
}
