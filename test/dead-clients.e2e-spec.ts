import { afterEach, describe, expect, it } from '@jest/globals';
import type { Position, SessionEvent } from '../src/protocol.js';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { Proxy } from '../stress/proxy.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient, textOf } from './support/client.js';
import { engineOptions } from './support/cut.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';

const PIECE = 'x'.repeat(64 * 1024);
/** Far more than the kernel's buffers take of what nobody reads. */
const PIECES = 160;

describe('a client that has gone, and says nothing', () => {
  afterEach(disposeAll);

  it('[LIM-18] [RES-1] is unbound once a ping is not answered, and its turn goes on', async () => {
    const running = await gateway();
    // Ten seconds each, as [LIM-7] tells; a test does not wait for that.
    Object.assign(engineOptions(running), { pingInterval: 200, pingTimeout: 200 });
    const network = await Proxy.listen(() => Number(new URL(running.url).port));
    onDispose(() => network.close());
    const credentials = newCredentials();
    const client = new TestClient(network.url, { session: () => ({ ...credentials, create: true }) });
    onDispose(() => client.close());
    await client.opened.next();
    await client.send(credentials.sessionId, 'Tell me');
    const call = (await running.model.nextCall()).begin().text('before, ');
    await client.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');

    // From here on the network takes everything, and hands on nothing: no data, no FIN.
    network.cut('half-open', 60_000);
    const bindings = running.get(SessionBindings);
    await until(() => !bindings.isAttached(credentials.sessionId), 'its end to be noticed');
    expect(call.aborted).toBe(false);
    call.text('after.').finish();

    const back = await running.client();
    await until(async () => (await back.open(credentials)).turns.length === 0);
    const { messages } = await back.do('session:history', { sessionId: credentials.sessionId });
    expect(messages.at(-1)?.parts).toContainEqual(expect.objectContaining({ text: 'before, after.' }));
  });
});

describe('a client that stopped reading', () => {
  afterEach(disposeAll);

  it('[LIM-17] [LIM-6] is cut off, comes back by itself, and is given exactly what it missed', async () => {
    const running = await gateway({ RESUME_WINDOW: '10m' });
    const credentials = newCredentials();
    const { sessionId } = credentials;
    const watcher = await running.client();
    await watcher.open({ ...credentials, create: true });
    const at: { position?: Position } = {};
    const slow = new TestClient(running.url, {
      reconnection: true,
      session: () => ({ ...credentials, position: at.position }),
    });
    onDispose(() => slow.close());
    const first = await slow.opened.next();
    slow.socket.on('disconnect', () => (at.position = slow.position(first)));
    const { ws } = slow.socket.io.engine.transport as unknown as { ws: { _socket: NodeJS.ReadableStream } };
    const { _socket: raw } = ws;
    raw.pause();
    await watcher.send(sessionId, 'flood');
    const call = (await running.model.nextCall()).begin();
    for (let count = 0; count < PIECES; count += 1) {
      call.text(PIECE);
      await watcher.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    }
    const bindings = running.get(SessionBindings);
    await until(() => bindings.socketsOf(sessionId) === 1, 'the slow socket to be cut off');
    call.finish();
    await watcher.turn('completed');

    raw.resume();
    // A reason at which Socket.IO's client comes back by itself.
    expect(await slow.disconnects.next()).toMatch(/^transport (close|error)$/);
    const again = await slow.opened.next();
    expect(again.recovered).toBe(true);
    // What came before the cut, what was missed, and what came live: each once, in order.
    const { seq } = at.position ?? { seq: 0 };
    const all = (): SessionEvent[] => {
      const [before, after] = [
        slow.events.filter((event) => event.seq <= seq),
        slow.events.filter((event) => event.seq > seq),
      ];
      return [...before, ...again.events, ...after];
    };
    await until(() => all().at(-1)?.type === 'turn', 'the rest');
    expect(textOf(all())).toHaveLength(PIECES * PIECE.length);
    const seqs = all().map((event) => event.seq);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  });
});
