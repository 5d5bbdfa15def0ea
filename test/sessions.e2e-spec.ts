import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { LIMITS, type SessionEvent } from '../src/protocol.js';
import { SessionStore, StoreUnavailable } from '../src/sessions/session.store.js';
import { newCredentials, textOf } from './support/client.js';
import { disposeAll, gateway, temporaryDirectory } from './support/gateway.js';
import { storedIn } from './support/tested.store.js';

describe('sessions', () => {
  afterEach(disposeAll);

  it('[SES-1] without an id the server chooses id and key, and gives the key once', async () => {
    const { client } = await gateway();
    const [one, other] = [await client(), await client()];
    const made = await one.open();
    expect(made).toMatchObject({
      created: true,
      recovered: false,
      position: { seq: 0 },
      agent: { id: 'alice', name: 'Alice' },
      turns: [],
      messages: [],
      hasMore: false,
      events: [],
    });
    const { sessionId, key = '' } = made;
    expect(sessionId).toMatch(/^[A-Za-z0-9_-]{16,64}$/);
    expect(key).toMatch(/^[A-Za-z0-9_-]{32,128}$/);
    const again = await other.open({ sessionId, key });
    expect(again).toMatchObject({ created: false, sessionId });
    expect(again).not.toHaveProperty('key');
  });

  it('[SES-2] a create whose answer was lost is safe to repeat, also at the same moment', async () => {
    const { client } = await gateway();
    const credentials = newCredentials();
    const sockets = await Promise.all([client(), client(), client()]);
    const opened = await Promise.all(sockets.map((socket) => socket.open({ ...credentials, create: true })));
    expect(opened.filter(({ created }) => created)).toHaveLength(1);
    expect(opened.filter(({ key }) => key === credentials.key)).toHaveLength(1);
    expect(new Set(opened.map(({ position }) => position.epoch)).size).toBe(1);
  });

  it('[SES-12] opening a session that is held replays again, and events go on without a gap', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const opened = await socket.open();
    const { sessionId, key = '' } = opened;
    await socket.send(sessionId, 'one');
    const call = (await model.nextCall()).begin().text('a');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    const again = await socket.open({ sessionId, key, position: opened.position });
    expect(again.recovered).toBe(true);
    expect(again.events).toEqual(socket.events);
    call.text('b').finish();
    await socket.turn('completed');
    const after = socket.received.filter(({ from }) => from >= again.position.seq);
    expect(after[0]?.from).toBe(again.position.seq);
    expect(textOf([...again.events, ...after.flatMap(({ events }) => events)])).toBe('ab');
  });

  it("[SES-13] [SES-14] [SEC-4] metadata stays inside, and neither the key nor the vendor's is on the disk", async () => {
    const DATA_DIR = await temporaryDirectory();
    const { client, stop } = await gateway({
      STORE: 'sqlite',
      DATA_DIR,
      OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
      OPENAI_API_KEY: 'sk-vendor-secret',
      MODEL: 'm',
    });
    const socket = await client();
    const credentials = newCredentials();
    const metadata = { plan: 'gold' };
    expect(await socket.open({ ...credentials, create: true, metadata })).not.toHaveProperty('metadata');
    const large = { text: 'x'.repeat(LIMITS.metadataBytes) };
    expect(await socket.refused('session:open', { metadata: large })).toBe('invalid_payload');
    await stop();
    const disk = readdirSync(await storedIn(DATA_DIR), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'))
      .join('');
    expect(disk).toContain('gold');
    expect(disk).toContain(credentials.sessionId);
    expect(disk).not.toContain(credentials.key);
    expect(disk).not.toContain('sk-vendor-secret');
  });

  it('[TURN-1] [EVT-3] [EVT-6] live, returning and stored: one answer, one ending, the same metadata', async () => {
    const { client, model } = await gateway();
    const [live, late] = [await client(), await client()];
    const credentials = newCredentials();
    const { position } = await live.open({ ...credentials, create: true });
    const { turnId } = await live.send(credentials.sessionId, 'one');
    (await model.nextCall()).answer('answer');
    await live.turn('completed');
    const replayed = await late.open({ ...credentials, position });
    const terminal = (events: SessionEvent[]) =>
      events.filter((event) => event.type === 'turn' && event.state === 'completed');
    expect(terminal(live.events)).toHaveLength(1);
    expect(terminal(replayed.events)).toEqual(terminal(live.events));
    const { messages } = await late.do('session:history', { sessionId: credentials.sessionId });
    const [user, assistant] = messages;
    expect(user?.metadata).toEqual({ createdAt: expect.any(String) });
    expect(assistant?.metadata).toEqual({
      turnId,
      agent: 'alice',
      status: 'completed',
      createdAt: expect.any(String),
      usage: { inputTokens: 10, outputTokens: 5, estimated: false },
    });
    const start = live.events.find((event) => event.type === 'chunk' && event.chunk.type === 'start');
    expect(start).toMatchObject({
      chunk: { messageId: assistant?.id, messageMetadata: { turnId, agent: 'alice' } },
    });
  });

  it('[EVT-7] the first delta goes out at once, later ones with the next flush, in one piece', async () => {
    // A flush that no test waits for: what comes before it was not gathered.
    const { client, model } = await gateway({ FLUSH_INTERVAL: '10s' });
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'one');
    const call = (await model.nextCall()).begin().text('first ');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    expect(textOf(socket.events)).toBe('first ');
    call.text('second ', 'third ', 'fourth').finish();
    await socket.turn('completed');
    const deltas = socket.events.flatMap((event) =>
      event.type === 'chunk' && event.chunk.type === 'text-delta' ? [event.chunk.delta] : [],
    );
    expect(deltas).toEqual(['first ', 'second third fourth']);
  });

  it('[EVT-8] [REQ-8] [STO-4] what the store does not take is not acknowledged and not sent, and comes later', async () => {
    const { client, model, get } = await gateway();
    const store = get(SessionStore);
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'one');
    const call = (await model.nextCall()).begin().text('a');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');

    const full = () => Promise.reject(new StoreUnavailable(new Error('the disk is full')));
    const append = jest.spyOn(store, 'append').mockImplementation(full);
    const accept = jest.spyOn(store, 'accept').mockImplementation(full);
    call.text('b');
    expect(await socket.ask('message:send', { sessionId, messageId: 'm', text: 'two' })).toMatchObject({
      ok: false,
      error: { code: 'unavailable', retryable: true },
    });
    expect((await socket.do('session:history', { sessionId })).messages).toHaveLength(1);
    expect(textOf(socket.events)).toBe('a');
    append.mockRestore();
    accept.mockImplementation(() => Promise.reject(new Error('a bug, with details')));
    expect(await socket.ask('message:send', { sessionId, messageId: 'm', text: 'two' })).toMatchObject({
      error: { code: 'internal', message: expect.not.stringContaining('details') },
    });
    accept.mockRestore();
    call.finish();
    await socket.turn('completed');
    expect(textOf(socket.events)).toBe('ab');
  });

  it('[LIM-7] pings are sent each ten seconds, and answered within ten', async () => {
    const { url } = await gateway();
    const response = await fetch(`${url}/socket.io/?EIO=4&transport=polling`);
    const handshake: unknown = JSON.parse((await response.text()).slice(1));
    expect(handshake).toMatchObject({
      pingInterval: 10_000,
      pingTimeout: 10_000,
      maxPayload: LIMITS.packetBytes,
    });
  });
});
