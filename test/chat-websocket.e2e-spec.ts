import { connect } from 'node:net';
import { Chat } from '@ai-sdk/react';
import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocketChatTransport, type UIMessage } from 'ai';
import { WebSocket } from 'ws';
import { ChatSocket } from '../src/projections/chat.socket.js';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { Channel } from '../src/testing/channel.js';
import { until } from './support/channel.js';
import { statusesOf, storedMessages, textsOf, throughCuts } from './support/chat.js';
import { newCredentials } from './support/client.js';
import { disposeAll, gateway, onDispose, type TestGateway } from './support/gateway.js';

type Frame = Record<string, unknown> & { type: string };

function stockChat({ url }: TestGateway, { sessionId, key }: { sessionId: string; key: string }) {
  const transport = new WebSocketChatTransport<UIMessage>({
    url: `${url}/api/chat`,
    headers: { Authorization: `Bearer ${key}` },
    webSocket: WebSocket as never,
  });
  onDispose(async () => transport.close());
  const chat = new Chat<UIMessage>({ id: sessionId, transport });
  return { chat, statuses: statusesOf(chat) };
}

/** A socket as it is, for what no transport would send. */
async function rawSocket({ url }: TestGateway, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/api/chat`, { headers });
  onDispose(async () => socket.terminate());
  const frames = new Channel<Frame>();
  let cookie: string | undefined;
  socket.on('upgrade', ({ headers: answered }) => (cookie = answered['set-cookie']?.[0]));
  socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as Frame));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  return {
    socket,
    cookie,
    next: () => frames.next(),
    send: (frame: unknown) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
  };
}

const sendFrame = (id: string, text: string, more: object = {}) => ({
  type: 'send',
  requestId: 'r1',
  id,
  trigger: 'submit-message',
  messages: [{ id: 'm1', role: 'user', parts: [{ type: 'text', text }] }],
  headers: {},
  body: {},
  ...more,
});

function cutSockets({ get }: TestGateway): void {
  for (const socket of get(ChatSocket).sockets) socket.terminate();
}

describe('useChat over a plain WebSocket, as it comes', () => {
  afterEach(disposeAll);

  it('[WS-1] cut amid an answer again and again, it resumes it from its start', async () => {
    const running = await gateway();
    const credentials = newCredentials();
    const { chat } = stockChat(running, credentials);
    const sent = chat.sendMessage({ text: 'Tell me' });
    const call = (await running.model.nextCall()).begin();
    const text = await throughCuts(chat, call, () => cutSockets(running));
    await sent;
    call.finish();
    await until(() => chat.status === 'ready', 'the end');
    expect(textsOf(chat)).toEqual(['Tell me', text]);
    const stored = await storedMessages(running, credentials.sessionId);
    expect(JSON.parse(JSON.stringify(chat.messages.at(-1)))).toEqual(stored.at(-1));
    await chat.resumeStream();
    expect(chat.status).toBe('ready');
  });

  it('[WS-1] stopping leaves; edits and regenerates', async () => {
    const running = await gateway();
    const credentials = newCredentials();
    const { chat, statuses } = stockChat(running, credentials);
    const sent = chat.sendMessage({ text: 'one' });
    const call = (await running.model.nextCall()).begin().text('half');
    await until(() => textsOf(chat).at(-1) === 'half', 'the half');
    await chat.stop();
    await sent;
    await until(() => !running.get(SessionBindings).isAttached(credentials.sessionId), 'it to be left');
    expect(call.aborted).toBe(false);
    const resumed = chat.resumeStream();
    await until(() => running.get(SessionBindings).isAttached(credentials.sessionId), 'it to be back');
    call.text(' and half').finish();
    await resumed;
    expect(textsOf(chat)).toEqual(['one', 'half and half']);
    running.model.autoAnswer = (each) => each.answer(`re: ${each.asked}`);
    await chat.sendMessage({ text: 'otherwise', messageId: chat.messages[0]?.id as string });
    await chat.regenerate();
    expect(textsOf(chat)).toEqual(['otherwise', 're: otherwise']);
    expect(running.model.calls).toHaveLength(3);
    expect(statuses).not.toContain('error');
  });

  it('[WS-2] a browser without a key is given one in a cookie with the handshake', async () => {
    const running = await gateway();
    const { sessionId } = newCredentials();
    const first = await rawSocket(running);
    expect(first.cookie).toMatch(
      /^mooring_key=[\w-]{43}; Path=\/api; Max-Age=\d+; HttpOnly; SameSite=Strict$/,
    );
    first.send(sendFrame(sessionId, 'hello'));
    (await running.model.nextCall()).begin().text('hi');
    expect(await first.next()).toEqual({ type: 'start', requestId: 'r1' });
    expect(await first.next()).toMatchObject({
      type: 'chunk',
      requestId: 'r1',
      sequence: 0,
      chunk: { type: 'start' },
    });
    const own = await rawSocket(running, { Cookie: (first.cookie ?? '').split(';')[0] as string });
    expect(own.cookie).toBeUndefined();
    own.send({ type: 'resume', requestId: 'r2', id: sessionId, headers: {}, body: {} });
    expect(await own.next()).toEqual({ type: 'start', requestId: 'r2' });
    const other = await rawSocket(running);
    other.send({ type: 'resume', requestId: 'r3', id: sessionId, headers: {}, body: {} });
    expect(await other.next()).toEqual({ type: 'no-active', requestId: 'r3' });
    other.send(sendFrame(sessionId, 'mine now', { requestId: 'r4' }));
    expect(await other.next()).toMatchObject({ type: 'error', requestId: 'r4' });
  });

  it('[WS-3] bad requests are answered by errors of their own, and bad frames end the socket', async () => {
    const running = await gateway();
    const { sessionId, key } = newCredentials();
    const one = await rawSocket(running, { Authorization: `Bearer ${key}` });
    const refused = async (frame: unknown, message: RegExp): Promise<void> => {
      one.send(frame);
      expect(await one.next()).toEqual({
        type: 'error',
        requestId: 'r1',
        errorText: expect.stringMatching(message),
      });
    };
    await refused({ type: 'other', requestId: 'r1' }, /type/);
    await refused(sendFrame('short', 'hi'), /id/);
    await refused(sendFrame(sessionId, ''), /empty/);
    await refused(sendFrame(sessionId, 'hi', { headers: { authorization: 'Bearer nonsense' } }), /key/);
    await refused(sendFrame(sessionId, 'hi', { headers: { Authorization: 'Bearer nonsense' } }), /key/);
    await refused(sendFrame(sessionId, 'hi', { headers: [1] }), /headers/);
    one.send(sendFrame(sessionId, 'hello'));
    await running.model.nextCall();
    expect(await one.next()).toMatchObject({ type: 'start' });
    one.send(sendFrame(sessionId, 'hello'));
    await until(async () => {
      const { type, errorText } = await one.next();
      return type === 'error' && String(errorText).includes('under way');
    }, 'the refusal of a second request of the same id');
    one.send({ type: 'abort', requestId: 'r1' });
    one.send({ type: 'abort', requestId: 'never sent' });
    await until(() => !running.get(SessionBindings).isAttached(sessionId), 'it to be left');
    for (const frame of ['not json', '7', '{}', JSON.stringify({ requestId: 'x'.repeat(65) })]) {
      const bad = await rawSocket(running);
      bad.send(frame);
      const code = await new Promise((resolve) => bad.socket.once('close', resolve));
      expect(code).toBe(1008);
    }
  });

  it.each([
    ['another origin', { Origin: 'https://evil.example' }, 403],
    ['too many connections', {}, 429],
  ])('[WS-3] refuses %s', async (_what, headers, status) => {
    const running = await gateway({ MAX_SOCKETS_PER_IP: '1' });
    if (status === 429) await rawSocket(running);
    await expect(rawSocket(running, headers as Record<string, string>)).rejects.toThrow(String(status));
  });

  it.each(['//', '/api/chat/../..//', 'http://[', '*', '/%'])(
    '[WS-3] an upgrade of %s harms nobody, nor does one that breaks while it is refused',
    async (path) => {
      const running = await gateway({ MAX_SOCKETS_PER_IP: '1' });
      await rawSocket(running);
      const { port, hostname } = new URL(running.url);
      for (const asked of [path, '/api/chat']) {
        const socket = connect(Number(port), hostname);
        socket.on('error', () => undefined);
        const upgrade = [
          'Host: gateway',
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
        ];
        const lines = [`GET ${asked} HTTP/1.1`, ...upgrade, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
        await new Promise((resolve) => socket.write([...lines, '', ''].join('\r\n'), resolve));
        socket.resetAndDestroy();
        await new Promise((resolve) => socket.once('close', resolve));
      }
      expect((await fetch(`${running.url}/health/live`)).status).toBe(200);
    },
  );

  it('[LIM-6] a socket that floods and does not read is cut off', async () => {
    const running = await gateway();
    const { socket } = await rawSocket(running);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    let isClosed = false;
    void closed.then(() => (isClosed = true));
    socket.on('error', () => undefined);
    socket.pause();
    // Each is answered, until more is unsent than a socket may have.
    const frame = JSON.stringify({ requestId: 'x'.repeat(64), type: 'unknown' });
    for (let sent = 0; !isClosed && sent < 1_000_000; sent += 1_000) {
      for (let each = 0; each < 1_000; each += 1) socket.send(frame);
      await until(() => isClosed || socket.bufferedAmount < 1_000_000, 'the frames to be taken');
    }
    socket.resume();
    await closed;
    const metrics = await (await fetch(`${running.url}/metrics`)).text();
    expect(metrics).toMatch(/^mooring_cut_off_total\{reason="flood"\} [1-9]/m);
  }, 60_000);

  it('[WS-3] a socket asks up to 120 times a minute, in bursts of 30', async () => {
    const running = await gateway();
    const { sessionId, key } = newCredentials();
    const one = await rawSocket(running, { Authorization: `Bearer ${key}` });
    const types: unknown[] = [];
    for (let count = 0; count < 40; count += 1) {
      one.send({ type: 'resume', requestId: `r${count}`, id: sessionId, headers: {}, body: {} });
      types.push((await one.next()).type);
    }
    expect(types.slice(0, 30)).toEqual(Array(30).fill('no-active'));
    expect(types).toContain('error');
  });
});
