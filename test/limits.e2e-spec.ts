import { connect, type Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { LIMITS } from '../src/protocol.js';
import { ChatGateway } from '../src/gateway/chat.gateway.js';
import { SocketConnection } from '../src/gateway/socket.connection.js';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient, textOf } from './support/client.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';
import { RawClient } from './support/raw.client.js';

describe('limits', () => {
  afterEach(disposeAll);

  it('[LIM-3] a session has up to 32 sockets', async () => {
    const { client } = await gateway();
    const credentials = newCredentials();
    const first = await client();
    await first.open({ ...credentials, create: true });
    const more = await Promise.all(Array.from({ length: LIMITS.socketsPerSession }, () => client()));
    const answers = await Promise.all(more.map((socket) => socket.ask('session:open', credentials)));
    expect(answers.filter(({ ok }) => ok)).toHaveLength(LIMITS.socketsPerSession - 1);
    expect(answers.find(({ ok }) => !ok)).toMatchObject({
      error: { code: 'too_many_sessions', retryable: true },
    });
  });

  it('[LIM-8] an address has up to its number of sockets, and another one when one leaves', async () => {
    const { client, url } = await gateway({ MAX_SOCKETS_PER_IP: '2' });
    const [one] = [await client(), await client()];
    const refused = new TestClient(url);
    onDispose(() => refused.close());
    await expect(refused.connected()).rejects.toThrow();
    await one.close();
    await until(
      () =>
        client().then(
          () => true,
          () => false,
        ),
      'a free place',
    );
  });

  it('[LIM-5] [LIM-2] announced attachments that do not come close the socket; those that come are refused', async () => {
    const { url, client } = await gateway();
    const neighbour = await client();
    const complete = await RawClient.connect(url);
    complete.send('451-0["message:send",{"_placeholder":true,"num":0}]');
    complete.send(new Uint8Array([1, 2, 3]));
    expect(await complete.packets.next()).toContain('"code":"invalid_payload"');
    await complete.close();
    const silent = await RawClient.connect(url);
    silent.send('451-0["message:send",{"_placeholder":true,"num":0}]');
    await silent.closed;
    expect((await neighbour.ask('agent:list', {})).ok).toBe(true);
  });
});

describe('a client that does not read', () => {
  afterEach(disposeAll);

  it('[LIM-6] is held a bounded amount, catches up exactly when it reads again, and disturbs nobody', async () => {
    const { url, client, model, get } = await gateway();
    const credentials = newCredentials();
    const watcher = await client();
    await watcher.open({ ...credentials, create: true });
    const slow = await SlowClient.connect(url, credentials);
    await until(
      () => get(SessionBindings).socketsOf(credentials.sessionId) === 2,
      'the slow socket to be bound',
    );
    slow.pause();
    await watcher.send(credentials.sessionId, 'flood');
    const call = (await model.nextCall()).begin();
    const piece = 'x'.repeat(64 * 1024);
    let most = 0;
    for (let count = 0; count < 160; count += 1) {
      call.text(piece);
      await watcher.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
      most = Math.max(most, ...unsent(get(ChatGateway)));
    }
    call.finish();
    await watcher.turn('completed');
    expect(textOf(watcher.events)).toHaveLength(160 * piece.length);
    expect(most).toBeGreaterThan(LIMITS.unsentBytes);
    expect(most).toBeLessThan(LIMITS.unsentBytes + 4 * piece.length);

    slow.resume();
    await until(() => slow.text.length === 160 * piece.length, 'the slow client to catch up');
    expect(slow.contiguous).toBe(true);
    await slow.close();
  });

  it('[LIM-6] is terminated when it makes no progress, and its session goes on', async () => {
    const { url, client, model, get } = await gateway();
    const credentials = newCredentials();
    const watcher = await client();
    await watcher.open({ ...credentials, create: true });
    const slow = await SlowClient.connect(url, credentials);
    const bindings = get(SessionBindings);
    await until(() => bindings.socketsOf(credentials.sessionId) === 2, 'the slow socket to be bound');
    slow.pause();
    await watcher.send(credentials.sessionId, 'flood');
    const call = (await model.nextCall()).begin();
    for (let count = 0; count < 160; count += 1) {
      call.text('x'.repeat(64 * 1024));
      await watcher.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    }
    await until(() => bindings.socketsOf(credentials.sessionId) === 1, 'the slow socket to be terminated');
    call.finish();
    await watcher.turn('completed');
    await slow.close();
  });
});

function unsent(gateway: ChatGateway): number[] {
  const { server } = gateway as unknown as {
    server: { of(name: string): { sockets: Map<string, { data: { connection: SocketConnection } }> } };
  };
  return [...server.of('/').sockets.values()].map(({ data }) => data.connection.unsentBytes);
}

/** A WebSocket peer on a bare TCP socket, which can stop reading. */
class SlowClient {
  text = '';
  contiguous = true;
  #seq?: number;
  #bytes = Buffer.alloc(0);

  private constructor(private readonly socket: Socket) {}

  static async connect(url: string, session: { sessionId: string; key: string }): Promise<SlowClient> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    const client = new SlowClient(socket);
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    const key = randomBytes(16).toString('base64');
    socket.write(
      `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\n` +
        `Connection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    await new Promise<void>((resolve) => socket.once('data', () => resolve()));
    socket.on('data', (data) => client.#read(data as Buffer));
    client.#write(`40${JSON.stringify({ session })}`);
    return client;
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  close(): Promise<void> {
    this.socket.destroy();
    return Promise.resolve();
  }

  #write(text: string): void {
    const payload = Buffer.from(text);
    const length =
      payload.length < 126
        ? Buffer.from([0x81, 0x80 | payload.length])
        : Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 0xff]);
    // A mask of zeros is a mask.
    this.socket.write(Buffer.concat([length, Buffer.alloc(4), payload]));
  }

  /** Server frames: unmasked, unfragmented. */
  #read(data: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, data]);
    for (;;) {
      const frame = this.#frame();
      if (!frame) return;
      const text = frame.toString();
      if (text === '2') this.#write('3');
      if (text.startsWith('42')) this.#apply(JSON.parse(text.slice(2)) as [string, never]);
    }
  }

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

  #apply([event, body]: [
    string,
    { position?: { seq: number }; from: number; to: number; events: never[] },
  ]): void {
    if (event === 'session:opened') this.#seq = body.position?.seq;
    if (event !== 'session:events') return;
    this.contiguous &&= body.from === this.#seq;
    this.#seq = body.to;
    this.text += textOf(body.events);
  }
}
