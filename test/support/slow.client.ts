import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { EventPacket, OpenedSession } from '../../src/protocol.js';
import { Channel } from '../../src/testing/channel.js';
import { textOf } from './client.js';

/** Well within the ten seconds in which a ping must be answered. */
const PONG_MS = 2_000;

/**
 * A WebSocket peer on a bare TCP socket, which can stop reading. It goes on answering pings that it has not
 * read, so that nothing but what is held for it can end it.
 */
export class SlowClient {
  /** The text of all answers that it was sent. */
  text = '';
  contiguous = true;
  closed = false;
  readonly #packets = new Channel<string>('a packet');
  readonly #pongs: NodeJS.Timeout;
  #seq?: number;
  #bytes = Buffer.alloc(0);

  private constructor(private readonly socket: Socket) {
    this.#pongs = setInterval(() => void this.send('3'), PONG_MS);
    socket.on('close', () => (this.closed = true));
    // A reset by the gateway.
    socket.on('error', () => undefined);
  }

  /** Connected, joined, and bound to the session of the handshake, if there is one. */
  static async connect(url: string, session?: { sessionId: string; key: string }): Promise<SlowClient> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write(
      `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\n` +
        `Connection: Upgrade\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n` +
        'Sec-WebSocket-Version: 13\r\n\r\n',
    );
    const client = new SlowClient(socket);
    await client.#upgraded();
    await client.send(`40${JSON.stringify({ session })}`);
    await client.#until((packet) => packet.startsWith(session ? '42["session:opened"' : '40'));
    return client;
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Sends text packets; resolves when the gateway has taken them, or has gone. */
  send(...packets: string[]): Promise<void> {
    return this.#write(packets.map((packet) => frame(0x1, packet)));
  }

  /** Pings of the WebSocket protocol itself. */
  ping(count: number): Promise<void> {
    return this.#write(Array.from({ length: count }, () => frame(0x9, 'x'.repeat(125))));
  }

  close(): Promise<void> {
    clearInterval(this.#pongs);
    this.socket.destroy();
    return Promise.resolve();
  }

  #write(frames: Buffer[]): Promise<void> {
    const { socket } = this;
    if (socket.destroyed || socket.write(Buffer.concat(frames))) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        socket.off('drain', done).off('close', done);
        resolve();
      };
      socket.once('drain', done).once('close', done);
    });
  }

  #upgraded(): Promise<void> {
    return new Promise((resolve) => {
      this.socket.once('data', (head: Buffer) => {
        this.socket.on('data', (data: Buffer) => this.#read(data));
        this.#read(head.subarray(head.indexOf('\r\n\r\n') + 4));
        resolve();
      });
    });
  }

  async #until(matches: (packet: string) => boolean): Promise<void> {
    while (!matches(await this.#packets.next()));
  }

  #read(data: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, data]);
    for (let next = this.#frame(); next; next = this.#frame()) {
      const packet = next.toString();
      this.#packets.push(packet);
      if (packet.startsWith('42')) this.#apply(JSON.parse(packet.slice(2)) as [string, never]);
    }
  }

  /** The next whole frame of the server: unmasked, unfragmented. */
  #frame(): Buffer | undefined {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    const short = (bytes[1] ?? 0) & 0x7f;
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < header) return undefined;
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if (bytes.length < header + length) return undefined;
    this.#bytes = bytes.subarray(header + length);
    return bytes.subarray(header, header + length);
  }

  #apply([event, body]: [string, OpenedSession & EventPacket]): void {
    if (event === 'session:opened') this.#seq = body.position.seq;
    if (event !== 'session:events') return;
    this.contiguous &&= body.from === this.#seq;
    this.#seq = body.to;
    this.text += textOf(body.events);
  }
}

/** A frame of a client; a mask of zeros is a mask. */
function frame(opcode: number, text: string): Buffer {
  const payload = Buffer.from(text);
  const length =
    payload.length < 126 ? [0x80 | payload.length] : [0x80 | 126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([0x80 | opcode, ...length]), Buffer.alloc(4), payload]);
}
