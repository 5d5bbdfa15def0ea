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
  /** Of the socket that is just 'readable', until it is asked. */
  #unread: Buffer | null = null;

  /**
   * @param begins called before the bytes of one read are handed on
   * @param ends called after that
   */
  constructor(begins: (socket: Socket) => void, ends: () => void) {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const handOn = (socket: Socket, length: number): void => {
      begins(socket);
      this.#unread = buffer.subarray(0, length);
      socket.emit('readable');
      const left = this.#unread;
      this.#unread = null;
      // Nobody wanted them yet: then they wait in the stream.
      if (left) socket.push(Buffer.from(left));
      ends();
    };
    this.options = {
      buffer,
      // Node calls it on the socket.
      callback(this: Socket, length: number) {
        handOn(this, length);
        return true;
      },
    };
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
}
