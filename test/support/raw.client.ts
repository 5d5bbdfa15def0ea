import { Channel } from '../../src/testing/channel.js';

/** A peer that speaks Engine.IO by hand, so that it can also speak it wrongly. */
export class RawClient {
  readonly packets = new Channel<string>('a packet');
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;

  private constructor(url: string) {
    this.#socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    this.#socket.addEventListener('message', ({ data }) => {
      if (data === '2') this.#socket.send('3');
      else this.packets.push(String(data));
    });
    this.closed = new Promise((resolve) => this.#socket.addEventListener('close', () => resolve()));
  }

  /** Connected, and joined to the namespace `/`. */
  static async connect(url: string, auth: unknown = {}): Promise<RawClient> {
    const client = new RawClient(url);
    await client.packets.next();
    client.send(`40${JSON.stringify(auth)}`);
    await client.packets.next();
    return client;
  }

  send(packet: string | Uint8Array<ArrayBuffer>): void {
    this.#socket.send(packet);
  }

  close(): Promise<void> {
    this.#socket.close();
    return this.closed;
  }
}
