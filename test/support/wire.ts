import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

export interface FrameOptions {
  opcode?: number;
  fin?: boolean;
  /** The three reserved bits. */
  rsv?: number;
  masked?: boolean;
  /** What the header says, which need not be so. */
  length?: number;
}

/** A frame of a client, right or wrong. */
export function frame(payload: Buffer | string, options: FrameOptions = {}): Buffer {
  const bytes = Buffer.from(payload);
  const { opcode = 0x1, fin = true, rsv = 0, masked = true, length = bytes.length } = options;
  const head = Buffer.alloc(10);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const bit = masked ? 0x80 : 0;
  let size = 2;
  if (length < 126) {
    head[1] = bit | length;
  } else if (length < 0x1_0000) {
    head[1] = bit | 126;
    size = head.writeUInt16BE(length, 2);
  } else {
    head[1] = bit | 127;
    size = head.writeBigUInt64BE(BigInt(length), 2);
  }
  // A mask of zeros is a mask.
  return Buffer.concat([head.subarray(0, size), masked ? Buffer.alloc(4) : Buffer.alloc(0), bytes]);
}

/** A bare TCP connection to the gateway, which reads whatever the other side answers. */
export class Wire {
  /** The messages of a WebSocket, in order. */
  readonly messages: string[] = [];
  /** All bytes before a WebSocket began, as text. */
  head = '';
  closed = false;
  #bytes = Buffer.alloc(0);
  #upgraded = false;
  #onChange: () => void = () => undefined;

  private constructor(
    private readonly socket: Socket,
    private readonly host: string,
  ) {
    socket.on('data', (data: Buffer) => this.#read(data));
    // A reset by the gateway.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.closed = true;
      this.#onChange();
    });
  }

  static async open(url: string): Promise<Wire> {
    const { hostname, port, host } = new URL(url);
    const socket = connect(Number(port), hostname);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Wire(socket, host);
  }

  write(bytes: Buffer | string): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  /** A whole HTTP request. */
  request(method: string, path: string, headers: readonly string[] = [], body: Buffer | string = ''): void {
    const content = Buffer.from(body);
    const lines = [`${method} ${path} HTTP/1.1`, `Host: ${this.host}`, ...headers];
    if (content.length > 0) lines.push(`Content-Length: ${content.length}`);
    this.write(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), content]));
  }

  /** Becomes a WebSocket of Engine.IO. */
  async upgrade(query = 'EIO=4&transport=websocket'): Promise<void> {
    this.request('GET', `/socket.io/?${query}`, [
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      'Sec-WebSocket-Version: 13',
    ]);
    await this.until(() => this.#upgraded);
  }

  /** Waits for it, but not for longer than it may take where nothing is ever answered. */
  async until(condition: () => boolean, patienceMs = 5_000): Promise<boolean> {
    if (!condition() && !this.closed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, patienceMs);
        this.#onChange = () => {
          if (!condition() && !this.closed) return;
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return condition();
  }

  /** In one of the ways in which connections end. */
  end(way: 'end' | 'destroy' | 'reset'): void {
    if (way === 'end') this.socket.end();
    else if (way === 'reset') this.socket.resetAndDestroy();
    else this.socket.destroy();
    // Whoever was told of the end may keep its half open.
    if (way === 'end') setTimeout(() => this.socket.destroy(), 50);
  }

  #read(data: Buffer): void {
    if (this.#upgraded) {
      this.#bytes = Buffer.concat([this.#bytes, data]);
    } else {
      this.head += data.toString('latin1');
      const end = this.head.indexOf('\r\n\r\n');
      if (end >= 0 && this.head.startsWith('HTTP/1.1 101')) {
        this.#upgraded = true;
        this.#bytes = Buffer.from(this.head.slice(end + 4), 'latin1');
      }
    }
    for (let next = this.#frame(); next !== undefined; next = this.#frame()) this.messages.push(next);
    this.#onChange();
  }

  /** The next whole text frame of the server: unmasked, unfragmented. */
  #frame(): string | undefined {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    const [first = 0, second = 0] = bytes;
    const short = second & 0x7f;
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < header) return undefined;
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if (bytes.length < header + length) return undefined;
    this.#bytes = bytes.subarray(header + length);
    const content = bytes.subarray(header, header + length);
    // Pongs and closes are the library's own.
    return (first & 0x0f) >= 8 ? '' : content.toString();
  }
}
