import { afterEach, describe, expect, it } from '@jest/globals';
import { ChatGateway } from '../src/gateway/chat.gateway.js';
import type { SocketConnection } from '../src/gateway/socket.connection.js';
import { LIMITS } from '../src/protocol.js';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient, textOf } from './support/client.js';
import { disposeAll, gateway, onDispose, type TestGateway } from './support/gateway.js';
import { RawClient } from './support/raw.client.js';
import { SlowClient } from './support/slow.client.js';

const PIECE = 'x'.repeat(64 * 1024);
/** Far more than the kernel's buffers take of what nobody reads. */
const PIECES = 160;

/** The SocketConnections of the gateway, in the order in which they came. */
function connections(get: TestGateway['get']): SocketConnection[] {
  const { server } = get(ChatGateway) as unknown as {
    server: { of(name: string): { sockets: Map<string, { data: { connection: SocketConnection } }> } };
  };
  return [...server.of('/').sockets.values()].map(({ data }) => data.connection);
}

async function refused(url: string): Promise<boolean> {
  const client = new TestClient(url);
  onDispose(() => client.close());
  return client.connected().then(
    () => false,
    () => true,
  );
}

describe('limits', () => {
  afterEach(disposeAll);

  it('[LIM-3] a socket has up to 16 sessions, and another one when it leaves one', async () => {
    const { client } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open();
    for (let count = 1; count < LIMITS.sessionsPerSocket; count += 1) await socket.open();
    expect(await socket.ask('session:open', {})).toMatchObject({
      error: { code: 'too_many_sessions', retryable: true },
    });
    await socket.do('session:leave', { sessionId });
    expect(await socket.open()).toMatchObject({ created: true });
  });

  it('[LIM-19] so much of a socket waits to be answered, and the rest is refused at once', async () => {
    const { client, get } = await gateway();
    const store = get(SessionStore);
    const [many, large] = [await client(), await client()];
    const gate = Promise.withResolvers<void>();
    const read = store.open.bind(store);
    store.open = async (...words) => {
      await gate.promise;
      return read(...words);
    };
    // The burst is shared by both limits, so each has a socket.
    const junk = { junk: 'x'.repeat(250_000) };
    const asked = Array.from({ length: 6 }, () => large.ask('session:open', junk as never));
    // The first is not measured, four more fit.
    expect(await asked[5]).toMatchObject({ error: { code: 'rate_limited', retryable: true } });
    const few = Array.from({ length: LIMITS.requestBurst }, () => many.ask('session:open', {}));
    gate.resolve();
    const answers = await Promise.all(asked.slice(0, 5));
    expect(answers.filter(({ ok }) => ok)).toHaveLength(5);
    expect((await Promise.all(few)).filter(({ ok }) => ok).length).toBe(LIMITS.sessionsPerSocket);
    // Nothing waits any more.
    expect((await large.ask('session:open', junk as never)).ok).toBe(true);
  });

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
    const [one] = [await client(), await client({ transports: ['polling'] })];
    expect(await refused(url)).toBe(true);
    await one.close();
    await until(async () => !(await refused(url)), 'a free place');
  });

  it('[LIM-8] [CONN-7] a client that begins by polling and upgrades is one socket', async () => {
    const { client, url } = await gateway({ MAX_SOCKETS_PER_IP: '1' });
    const { socket } = await client({ transports: ['polling', 'websocket'] });
    await until(() => socket.io.engine.transport.name === 'websocket', 'the upgrade');
    expect(await refused(url)).toBe(true);
    expect(socket.connected).toBe(true);
  });

  it.each([
    ['websocket', ['websocket']],
    ['polling', ['polling']],
    ['both', ['polling', 'websocket']],
  ] as const)("[LIM-1] a packet past 256 KiB closes its socket, nobody else's: %s", async (_, transports) => {
    const { client } = await gateway();
    const [socket, neighbour] = [await client({ transports: [...transports] }), await client()];
    void socket.askRaw('agent:list', { pad: 'x'.repeat(LIMITS.packetBytes) }).catch(() => undefined);
    expect(await socket.disconnects.next()).toMatch(/^transport/);
    expect((await neighbour.ask('agent:list', {})).ok).toBe(true);
  });

  it('[LIM-1] the gateway itself closes it, whatever the client does: polling', async () => {
    const { url, get } = await gateway();
    const base = `${url}/socket.io/?EIO=4&transport=polling`;
    const { sid } = JSON.parse((await (await fetch(base)).text()).slice(1)) as { sid: string };
    const post = (body: string) => fetch(`${base}&sid=${sid}`, { method: 'POST', body });
    expect((await post('40{}')).status).toBe(200);
    await until(() => get(ChatGateway).sockets === 1, 'the socket');
    expect((await post(`42["agent:list","${'x'.repeat(LIMITS.packetBytes)}"]`)).status).toBe(413);
    await until(() => get(ChatGateway).sockets === 0, 'its end');
  });

  it('[LIM-2] an attachment that comes is refused', async () => {
    const { url } = await gateway();
    const peer = await RawClient.connect(url);
    peer.send('451-0["message:send",{"_placeholder":true,"num":0}]');
    peer.send(new Uint8Array([1, 2, 3]));
    expect(await peer.packets.next()).toContain('"code":"invalid_payload"');
    await peer.close();
  });

  it.each(['450-["agent:list",{}]', '4511-["agent:list",{}]', '451-{}'])(
    '[LIM-9] an announcement that nothing can follow closes its socket: %s',
    async (packet) => {
      const { url, client } = await gateway();
      const neighbour = await client();
      const peer = await RawClient.connect(url);
      peer.send(packet);
      await peer.closed;
      expect((await neighbour.ask('agent:list', {})).ok).toBe(true);
    },
  );

  it('[LIM-5] announced attachments that do not come close the socket, of an event and of an ack', async () => {
    const { url, client } = await gateway();
    const neighbour = await client();
    const peers = [await RawClient.connect(url), await RawClient.connect(url)];
    peers[0]?.send('452-0["message:send",{"_placeholder":true,"num":0}]');
    peers[0]?.send(new Uint8Array([1, 2, 3]));
    peers[1]?.send('461-7[{"_placeholder":true,"num":0}]');
    await Promise.all(peers.map(({ closed }) => closed));
    expect((await neighbour.ask('agent:list', {})).ok).toBe(true);
  });
});

/** A session with one client that reads and one that does not, and a model that floods both. */
async function withSlowClient() {
  const running = await gateway();
  const credentials = newCredentials();
  const watcher = await running.client();
  await watcher.open({ ...credentials, create: true });
  const slow = await SlowClient.connect(running.url, credentials);
  onDispose(() => slow.close());
  slow.pause();
  await watcher.send(credentials.sessionId, 'flood');
  const call = (await running.model.nextCall()).begin();
  const held = (): number => connections(running.get).at(-1)?.unsentBytes ?? 0;
  let most = 0;
  for (let count = 0; count < PIECES; count += 1) {
    call.text(PIECE);
    await watcher.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    most = Math.max(most, held());
  }
  return { ...running, ...credentials, watcher, slow, call, most };
}

describe('a client that does not read', () => {
  afterEach(disposeAll);

  it('[LIM-6] is held a bounded amount, catches up exactly when it reads again, and disturbs nobody', async () => {
    const { watcher, slow, call, most } = await withSlowClient();
    expect(most).toBeGreaterThan(LIMITS.unsentBytes);
    expect(most).toBeLessThan(LIMITS.unsentBytes + 2 * PIECE.length);
    call.finish();
    await watcher.turn('completed');
    expect(textOf(watcher.events)).toHaveLength(PIECES * PIECE.length);

    slow.resume();
    await until(() => slow.text.length === PIECES * PIECE.length, 'the slow client to catch up');
    expect(slow.contiguous).toBe(true);
  });

  it('[LIM-6] is terminated when it makes no progress, though it answers pings, and its session goes on', async () => {
    const { get, sessionId, watcher, call } = await withSlowClient();
    const bindings = get(SessionBindings);
    await until(() => bindings.socketsOf(sessionId) === 1, 'the slow socket to be terminated');
    call.finish();
    await watcher.turn('completed');
  });

  it('[LIM-6] is answered no further request until it has read', async () => {
    const { get, sessionId, slow } = await withSlowClient();
    const [, held] = connections(get);
    const before = held?.unsentBytes ?? 0;
    for (let count = 0; count < 20; count += 1) {
      await slow.send(`42${count}["session:history",{"sessionId":"${sessionId}"}]`);
    }
    // Handled in order, so that its leaving would be seen if they were.
    await slow.send(`42["session:leave",{"sessionId":"${sessionId}"}]`);
    // Refused at the door, and answered: by then the gateway has read all of the above.
    await slow.send('4299["nothing",{}]');
    await until(() => (held?.unsentBytes ?? 0) > before, 'the refusal');
    expect(held?.unsentBytes).toBeLessThan(before + 1_000);
    expect(get(SessionBindings).socketsOf(sessionId)).toBe(2);
    slow.resume();
    await until(() => get(SessionBindings).socketsOf(sessionId) === 1, 'its requests to be handled');
  });

  it.each([
    ['requests', (slow: SlowClient) => slow.send(...Array.from({ length: 1_000 }, () => '421["no",{}]'))],
    ['namespaces', (slow: SlowClient) => slow.send(...Array.from({ length: 1_000 }, () => '40/no,'))],
    ['WebSocket pings', (slow: SlowClient) => slow.ping(1_000)],
  ])('[LIM-6] [LIM-9] is cut off when it floods the gateway with %s', async (_, flood) => {
    const { url, client, get } = await gateway();
    const neighbour = await client();
    const slow = await SlowClient.connect(url);
    onDispose(() => slow.close());
    slow.pause();
    const [, held] = connections(get);
    let most = 0;
    while (get(ChatGateway).sockets > 1) {
      await flood(slow);
      most = Math.max(most, held?.unsentBytes ?? 0);
    }
    // What the gateway had already read of the flood is answered before its end.
    expect(most).toBeLessThan(2 * LIMITS.unsentBytes);
    expect((await neighbour.ask('agent:list', {})).ok).toBe(true);
  });
});
