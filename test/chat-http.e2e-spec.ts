import type { Server } from 'node:http';
import { connect } from 'node:net';
import { Chat } from '@ai-sdk/react';
import { afterEach, describe, expect, it } from '@jest/globals';
import { HttpAdapterHost } from '@nestjs/core';
import { DefaultChatTransport, type UIMessage } from 'ai';
import { SignJWT } from 'jose';
import { ModelError } from '../src/agents/model.provider.js';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { StreamingService } from '../src/streaming/session.emitter.js';
import { until } from './support/channel.js';
import { statusesOf, storedMessages, textsOf, throughCuts } from './support/chat.js';
import { newCredentials } from './support/client.js';
import { disposeAll, gateway, type TestGateway } from './support/gateway.js';

const SECRET = 'a-secret-of-thirty-two-characters!';

interface StockChat {
  chat: Chat<UIMessage>;
  statuses: string[];
}

/** The AI SDK's own chat on its own transport: no code of ours. */
function stockChat(
  { url }: TestGateway,
  { sessionId, key }: { sessionId: string; key: string },
  messages: UIMessage[] = [],
): StockChat {
  const transport = new DefaultChatTransport({
    api: `${url}/api/chat`,
    headers: { Authorization: `Bearer ${key}` },
  });
  const chat = new Chat<UIMessage>({ id: sessionId, messages, transport });
  return { chat, statuses: statusesOf(chat) };
}

function answersOf(messages: readonly unknown[]): unknown[] {
  const plain = JSON.parse(JSON.stringify(messages)) as UIMessage[];
  return plain.filter(({ role }) => role === 'assistant');
}

/** Breaks every connection of HTTP on the server's side, in the middle of whatever it says. */
function cutHttp({ get }: TestGateway): void {
  (get(HttpAdapterHost).httpAdapter.getHttpServer() as Server).closeAllConnections();
}

const body = (sessionId: string, text: string, more: object = {}) => ({
  id: sessionId,
  trigger: 'submit-message',
  messages: [{ id: 'm1', role: 'user', parts: [{ type: 'text', text }] }],
  ...more,
});

function post(
  { url }: TestGateway,
  payload: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof payload === 'string' ? payload : JSON.stringify(payload),
  });
}

describe('useChat over HTTP, as it comes', () => {
  afterEach(disposeAll);

  it('[HTTP-1] streams an answer whose fold is the stored message', async () => {
    const running = await gateway();
    const credentials = newCredentials();
    const { chat, statuses } = stockChat(running, credentials);
    const sent = chat.sendMessage({ text: 'Tell me' });
    const call = (await running.model.nextCall()).begin().text('one ');
    await until(() => textsOf(chat).at(-1) === 'one ', 'the begin');
    call.text('two').finish();
    await sent;
    expect([...new Set(statuses)]).toEqual(['submitted', 'streaming', 'ready']);
    expect(textsOf(chat)).toEqual(['Tell me', 'one two']);
    expect(answersOf(chat.messages)).toEqual(answersOf(await storedMessages(running, credentials.sessionId)));
    await until(() => !running.get(SessionBindings).isAttached(credentials.sessionId), 'it to be left');
  });

  it('[HTTP-2] cut amid an answer, resuming tells it from its start; idle, there is nothing to resume', async () => {
    const running = await gateway();
    const credentials = newCredentials();
    const { chat } = stockChat(running, credentials);
    const sent = chat.sendMessage({ text: 'Tell me' });
    const call = (await running.model.nextCall()).begin();
    const text = await throughCuts(chat, call, () => cutHttp(running));
    await sent;
    call.finish();
    await until(() => chat.status === 'ready', 'the end');
    expect(textsOf(chat)).toEqual(['Tell me', text]);
    expect(answersOf(chat.messages)).toEqual(answersOf(await storedMessages(running, credentials.sessionId)));
    await chat.resumeStream();
    expect(chat.status).toBe('ready');
    expect(running.model.calls).toHaveLength(1);
  });

  it('[HTTP-2] a reload: the messages by GET, and the running answer by resuming', async () => {
    const running = await gateway();
    const { sessionId, key } = newCredentials();
    const { chat: first } = stockChat(running, { sessionId, key });
    void first.sendMessage({ text: 'Tell me' });
    const call = (await running.model.nextCall()).begin().text('one ');
    await until(() => textsOf(first).at(-1) === 'one ', 'the begin');
    await first.stop();
    expect(call.aborted).toBe(false);
    const headers = { Authorization: `Bearer ${key}` };
    const stored = await fetch(`${running.url}/api/chat/${sessionId}`, { headers });
    const { messages } = (await stored.json()) as { messages: UIMessage[] };
    const { chat } = stockChat(running, { sessionId, key }, messages);
    const resumed = chat.resumeStream();
    await until(() => textsOf(chat).at(-1) === 'one ', 'what was missed');
    call.text('two').finish();
    await resumed;
    expect(textsOf(chat)).toEqual(['Tell me', 'one two']);
    expect(JSON.parse(JSON.stringify(chat.messages))).toEqual(await storedMessages(running, sessionId));
  });

  it('[HTTP-3] edits, regenerates and cancels', async () => {
    const running = await gateway();
    const { model, url } = running;
    const { sessionId, key } = newCredentials();
    const { chat } = stockChat(running, { sessionId, key });
    model.autoAnswer = (call) => call.answer(`re: ${call.asked} (${model.calls.length})`);
    await chat.sendMessage({ text: 'one' });
    await chat.regenerate();
    expect(textsOf(chat)).toEqual(['one', 're: one (2)']);
    const [asked] = chat.messages;
    await chat.sendMessage({ text: 'otherwise', messageId: asked?.id as string });
    expect(textsOf(chat)).toEqual(['otherwise', 're: otherwise (3)']);
    model.autoAnswer = undefined;
    const sent = chat.sendMessage({ text: 'two' });
    const call = (await model.nextCall()).begin().text('half');
    await until(() => textsOf(chat).at(-1) === 'half', 'the half');
    const stream = `${url}/api/chat/${sessionId}/stream`;
    const headers = { Authorization: `Bearer ${key}` };
    expect((await fetch(stream, { method: 'DELETE', headers })).status).toBe(204);
    await sent;
    expect(call.aborted).toBe(true);
    expect(chat.status).toBe('ready');
    expect(chat.messages.at(-1)?.metadata).toMatchObject({ status: 'cancelled' });
    const none = await fetch(stream, { method: 'DELETE', headers });
    expect([none.status, await none.json()]).toMatchObject([404, { error: { code: 'turn_not_found' } }]);
    expect(textsOf({ messages: await storedMessages(running, sessionId) })).toEqual(textsOf(chat));
  });

  it('[HTTP-3] a message that was sent before is not answered twice; another text of its id is a conflict', async () => {
    const running = await gateway();
    const { sessionId, key } = newCredentials();
    const headers = { Authorization: `Bearer ${key}` };
    const first = await post(running, body(sessionId, 'hello'), headers);
    const call = (await running.model.nextCall()).begin().text('par');
    const second = await post(running, body(sessionId, 'hello'), headers);
    call.text('tial').finish();
    const texts = [await first.text(), await second.text()];
    const third = await (await post(running, body(sessionId, 'hello'), headers)).text();
    for (const text of [...texts, third]) {
      const deltas = [...text.matchAll(/"delta":"(\w+)"/g)].map(([, delta]) => delta).join('');
      expect(deltas).toBe('partial');
      expect(text).toMatch(/"type":"finish".*\n\ndata: \[DONE\]\n\n$/);
    }
    const conflict = await post(running, body(sessionId, 'other'), headers);
    expect([conflict.status, await conflict.json()]).toMatchObject([
      409,
      { error: { code: 'message_conflict' } },
    ]);
    expect(running.model.calls).toHaveLength(1);
  });

  it('[HTTP-3] a failed turn is an error of the chat, with the text that was shown', async () => {
    const running = await gateway();
    const { chat } = stockChat(running, newCredentials());
    const sent = chat.sendMessage({ text: 'Tell me' });
    const call = (await running.model.nextCall()).begin().text('half');
    await until(() => textsOf(chat).at(-1) === 'half', 'the half');
    call.fail(new ModelError('provider_rate_limited', 'Too many requests.'));
    await sent;
    expect(chat.status).toBe('error');
    expect(chat.error?.message).toContain('Too many requests.');
    expect(textsOf(chat)).toEqual(['Tell me', 'half']);
  });

  it('[HTTP-4] a browser without a key is given one in a cookie, which opens its sessions and no others', async () => {
    const running = await gateway();
    const { sessionId } = newCredentials();
    const sending = await post(running, body(sessionId, 'hello'));
    (await running.model.nextCall()).begin().text('hi');
    const cookie = sending.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/^mooring_key=[\w-]{43}; Path=\/api; Max-Age=\d+; HttpOnly; SameSite=Strict$/);
    const own = { Cookie: cookie.split(';')[0] as string };
    const other = { Cookie: `mooring_key=${'x'.repeat(43)}` };
    const resume = (headers: Record<string, string>) =>
      fetch(`${running.url}/api/chat/${sessionId}/stream`, { headers });
    const mine = await resume(own);
    expect([mine.status, mine.headers.get('content-type')]).toEqual([
      200,
      'text/event-stream; charset=utf-8',
    ]);
    await mine.body?.cancel();
    for (const headers of [other, {} as Record<string, string>]) {
      // As of one that is not there at all.
      expect((await resume(headers)).status).toBe(204);
      const history = await fetch(`${running.url}/api/chat/${sessionId}`, { headers });
      expect([history.status, await history.json()]).toMatchObject([
        404,
        { error: { code: 'session_not_found' } },
      ]);
      const stolen = await post(running, body(sessionId, 'mine now'), { ...headers });
      expect(stolen.status).toBe(404);
      const cancel = await fetch(`${running.url}/api/chat/${sessionId}/stream`, {
        method: 'DELETE',
        headers,
      });
      expect(cancel.status).toBe(404);
    }
    await sending.body?.cancel();
    expect(running.model.calls).toHaveLength(1);
  });

  it('[HTTP-4] with AUTH=jwt the bearer is the token', async () => {
    const running = await gateway({ AUTH: 'jwt', JWT_SECRET: SECRET });
    running.model.autoAnswer = (call) => call.answer('hi');
    const { sessionId } = newCredentials();
    const tokenOf = (sub: string) =>
      new SignJWT({ sub })
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(SECRET));
    const sent = await post(running, body(sessionId, 'hello'), {
      Authorization: `Bearer ${await tokenOf('ann')}`,
    });
    expect([sent.status, sent.headers.get('set-cookie')]).toEqual([200, null]);
    await sent.text();
    const bob = await post(running, body(sessionId, 'hello'), {
      Authorization: `Bearer ${await tokenOf('bob')}`,
    });
    expect(bob.status).toBe(404);
    for (const headers of [{ Authorization: 'Bearer forged' }, {} as Record<string, string>]) {
      const refused = await post(running, body(sessionId, 'hello'), headers);
      expect([refused.status, await refused.json()]).toMatchObject([
        401,
        { error: { code: 'unauthorized' } },
      ]);
    }
  });

  it.each<[string, number, (id: string) => unknown, RegExp]>([
    ['no JSON', 400, () => '{"id":', /JSON/],
    ['no JSON object', 400, () => 'null', /JSON/],
    ['a body of more than 4 MiB', 413, (id) => body(id, 'x'.repeat(5_000_000)), /too large/],
    ['a list', 400, () => [], /object/],
    ['no id', 400, () => ({ messages: [] }), /id/],
    ['an id that no session may have', 400, () => body('short', 'hi'), /id/],
    ['no messages', 400, (id) => ({ id, messages: [] }), /messages/],
    [
      'a last message of the assistant',
      400,
      (id) => body(id, 'hi', { messages: [{ id: 'a', role: 'assistant' }] }),
      /user message/,
    ],
    [
      'a message without parts',
      400,
      (id) => body(id, 'hi', { messages: [{ id: 'a', role: 'user' }] }),
      /parts/,
    ],
    [
      'a file',
      400,
      (id) => body(id, '', { messages: [{ id: 'a', role: 'user', parts: [{ type: 'file' }] }] }),
      /text/,
    ],
    ['an empty text', 400, (id) => body(id, ''), /empty/],
    ['a text that is too long', 413, (id) => body(id, 'x'.repeat(32_001)), /32000/],
    ['an unknown trigger', 400, (id) => body(id, 'hi', { trigger: 'resume-stream' }), /trigger/],
    ['an unknown agent', 404, (id) => body(id, 'hi', { agent: 'nobody' }), /agent/],
  ])('[HTTP-5] refuses %s', async (_what, status, payload, message) => {
    const running = await gateway();
    const { sessionId, key } = newCredentials();
    const refused = await post(running, payload(sessionId), { Authorization: `Bearer ${key}` });
    const { error } = (await refused.json()) as { error?: { code: string; message: string } };
    expect([refused.status, error?.message]).toEqual([status, expect.stringMatching(message)]);
    expect(error).toMatchObject({ code: expect.any(String), retryable: false });
    expect(running.model.calls).toHaveLength(0);
  });

  it('[HTTP-5] refuses another origin, a bearer that is no key, and too many requests', async () => {
    const running = await gateway();
    const { sessionId, key } = newCredentials();
    const origin = await post(running, body(sessionId, 'hi'), { Origin: 'https://evil.example' });
    expect([origin.status, await origin.json()]).toMatchObject([403, { error: { code: 'unauthorized' } }]);
    expect((await post(running, body(sessionId, 'hi'), { Authorization: 'Bearer short' })).status).toBe(400);
    const resume = () =>
      fetch(`${running.url}/api/chat/${sessionId}/stream`, { headers: { Authorization: `Bearer ${key}` } });
    let last = await resume();
    for (let count = 0; count < 60 && last.status === 204; count += 1) last = await resume();
    expect([last.status, Number(last.headers.get('retry-after'))]).toEqual([429, expect.any(Number)]);
    expect(await last.json()).toMatchObject({ error: { code: 'rate_limited', retryable: true } });
  });

  it('[HTTP-6] a long conversation is accepted with each request, since stock transports send it', async () => {
    const running = await gateway();
    running.model.autoAnswer = (call) => call.answer('ok');
    const { sessionId, key } = newCredentials();
    const older = { id: 'old', role: 'assistant', parts: [{ type: 'text', text: 'x'.repeat(1_000_000) }] };
    const payload = body(sessionId, 'hi');
    const long = { ...payload, messages: [older, ...payload.messages] };
    const sent = await post(running, long, { Authorization: `Bearer ${key}` });
    expect([sent.status, await sent.text()]).toEqual([200, expect.stringContaining('"ok"')]);
    expect(textsOf({ messages: await storedMessages(running, sessionId) })).toEqual(['hi', 'ok']);
  });

  it('[HTTP-6] who does not read is caught up from the log when it reads again', async () => {
    const running = await gateway();
    const { sessionId, key } = newCredentials();
    const { port, hostname } = new URL(running.url);
    const socket = connect(Number(port), hostname);
    const payload = JSON.stringify(body(sessionId, 'hello'));
    const head = ['POST /api/chat HTTP/1.1', 'Host: gateway', 'Content-Type: application/json'];
    head.push(`Authorization: Bearer ${key}`, `Content-Length: ${payload.length}`, 'Connection: close');
    socket.pause();
    socket.write(`${head.join('\r\n')}\r\n\r\n${payload}`);
    const call = (await running.model.nextCall()).begin();
    const piece = 'x'.repeat(64 * 1024);
    const streaming = running.get(StreamingService);
    for (let count = 0; count < 200; count += 1) {
      const { appendedEvents } = streaming;
      call.text(piece);
      await until(() => streaming.appendedEvents > appendedEvents, 'it to be appended');
    }
    call.finish();
    const bindings = running.get(SessionBindings);
    await until(
      async () => (await running.get(SessionStore).read(sessionId))?.turns.length === 0,
      'the turn to end',
    );
    let length = 0;
    let tail = '';
    socket.on('data', (data: Buffer) => {
      length += data.length;
      tail = (tail + data.toString('latin1')).slice(-100);
    });
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(length).toBeGreaterThan(200 * piece.length);
    expect(tail).toContain('[DONE]');
    expect(bindings.catchUps).toBeGreaterThan(0);
  });
});
