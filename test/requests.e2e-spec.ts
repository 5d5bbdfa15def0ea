import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { LIMITS } from '../src/protocol.js';
import { newCredentials, type TestClient } from './support/client.js';
import { disposeAll, gateway } from './support/gateway.js';
import { RawClient } from './support/raw.client.js';

async function issue(client: TestClient, name: string, payload: unknown) {
  const answer = await client.askRaw(name, payload);
  return answer.ok ? undefined : answer.error;
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

describe('requests', () => {
  afterEach(disposeAll);

  it('[REQ-1 REQ-3 REQ-10 SES-15 LIM-10] each bad payload is answered with the path and what is wrong', async () => {
    const { client } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open();
    const cases: [string, unknown, string][] = [
      ['message:send', { sessionId, messageId: 'm' }, 'text'],
      ['message:send', { sessionId, messageId: 'm', text: '' }, 'text'],
      ['message:send', { sessionId, messageId: 'm', text: 7 }, 'text'],
      ['message:send', { sessionId, messageId: 'x'.repeat(65), text: 'x' }, 'messageId'],
      ['message:send', { sessionId, messageId: 'm', text: 'x', whenBusy: 'later' }, 'whenBusy'],
      ['session:open', { sessionId: 'short' }, 'sessionId'],
      ['session:open', { sessionId: 'x'.repeat(65) }, 'sessionId'],
      ['session:open', { sessionId: 'not/a/session/id' }, 'sessionId'],
      ['session:open', { sessionId: 'a'.repeat(20), key: 'short', create: true }, 'key'],
      ['session:open', { sessionId: 'a'.repeat(20), key: 'k'.repeat(129), create: true }, 'key'],
      ['message:send', { sessionId, messageId: '', text: 'x' }, 'messageId'],
      ['turn:cancel', { sessionId, turnId: 'x'.repeat(65) }, 'turnId'],
      ['turn:retry', { sessionId, retryId: 'x'.repeat(65) }, 'retryId'],
      ['session:open', { position: { epoch: 'e', seq: -1 } }, 'position.seq'],
      ['session:open', { position: { epoch: 'e', seq: 1.5 } }, 'position.seq'],
      ['session:open', { position: 5 }, 'position'],
      ['session:open', { sessionId: 'a'.repeat(20), create: true }, 'key'],
      ['session:history', { sessionId, limit: 0 }, 'limit'],
      ['session:history', { sessionId, limit: 101 }, 'limit'],
      ['session:history', { sessionId, before: 'nothing' }, 'before'],
      ['agent:switch', { sessionId }, 'agent'],
    ];
    for (const [name, payload, path] of cases) {
      const error = await issue(socket, name, payload);
      expect({ name, payload, ...error }).toMatchObject({ code: 'invalid_payload', retryable: false });
      expect(error?.issues?.map((found) => found.path)).toContain(path);
    }
  });

  it.each([
    ['null', null],
    ['a list', []],
    ['a string', 'x'],
    ['a number', 3],
    ['a buffer', Buffer.from('x')],
  ])('[REQ-3] a payload that is %s is invalid_payload', async (_name, payload) => {
    const { client } = await gateway();
    const socket = await client();
    expect(await socket.refused('message:send', payload)).toBe('invalid_payload');
  });

  it('[LIM-2] binary, depth and forbidden keys are refused before anything else reads them', async () => {
    const { client } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open();
    const send = (extra: unknown) => ({ sessionId, messageId: 'm', text: 'x', extra });
    expect(await issue(socket, 'message:send', send(Buffer.from('abc')))).toMatchObject({
      code: 'invalid_payload',
    });
    expect(await socket.ask('session:open', { metadata: { a: nested(LIMITS.jsonDepth - 2) } })).toMatchObject(
      { ok: true },
    );
    expect(
      await issue(socket, 'session:open', { metadata: { a: nested(LIMITS.jsonDepth - 1) } }),
    ).toMatchObject({
      code: 'invalid_payload',
    });
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      const payload: unknown = JSON.parse(`{"sessionId":"${sessionId}","metadata":{"${key}":1}}`);
      expect(await issue(socket, 'session:open', payload)).toMatchObject({ code: 'invalid_payload' });
    }
  });

  it('[LIM-2 LIM-9] a packet of thousands of nested lists is refused, and the process lives', async () => {
    const { client, url } = await gateway();
    const raw = await RawClient.connect(url);
    const deep = '['.repeat(50_000) + ']'.repeat(50_000);
    raw.send(`420["session:open",{"metadata":${deep}}]`);
    expect(await raw.packets.next()).toContain('"code":"invalid_payload"');
    raw.send(`421["message:send",${deep}]`);
    expect(await raw.packets.next()).toContain('"code":"invalid_payload"');
    await raw.close();
    expect((await (await client()).ask('agent:list', {})).ok).toBe(true);
  });

  it.each([
    ['no packet at all', '9'],
    ['a broken event', '42{'],
    ['an event that is no list', '42{}'],
    ['an event without a name', '42[]'],
    ['a name that is no string', '42[{"a":1},{}]'],
    ['an ack of nothing', '4399[]'],
    ['another namespace', '40/admin,'],
    ['bytes', new Uint8Array([4, 5, 6])],
  ])('[LIM-9] %s does not disturb a neighbour', async (_name, packet) => {
    const { client, url } = await gateway();
    const neighbour = await client();
    const raw = await RawClient.connect(url);
    raw.send(packet);
    expect((await neighbour.ask('agent:list', {})).ok).toBe(true);
    await raw.close();
  });

  it('[REQ-6] an unknown event, also one that is named like a property of the server, gets unknown_event', async () => {
    const { client } = await gateway();
    const socket = await client();
    for (const name of ['nope', 'toString', 'message', 'disconnecting!', '__proto__']) {
      expect(await socket.refused(name, {})).toBe('unknown_event');
    }
  });

  it('[REQ-2] a failed request without an acknowledgement callback is answered by request:failed', async () => {
    const { client } = await gateway();
    const socket = await client();
    (socket.socket as unknown as { emit(name: string, payload: unknown): void }).emit('message:send', {
      text: 1,
    });
    expect(await socket.unanswered.next()).toMatchObject({
      event: 'message:send',
      error: { code: 'invalid_payload' },
    });
    (socket.socket as unknown as { emit(name: string, payload: unknown): void }).emit('what?', {});
    expect(await socket.unanswered.next()).toMatchObject({
      event: 'what?',
      error: { code: 'unknown_event' },
    });
  });

  it('[REQ-3 REQ-4] the shape is checked before the session: a session that is not bound is session_not_found', async () => {
    const { client } = await gateway();
    const [mine, other] = [await client(), await client()];
    const { sessionId } = await mine.open();
    const requests: [string, object][] = [
      ['session:leave', {}],
      ['session:close', {}],
      ['session:history', {}],
      ['message:send', { messageId: 'm', text: 'x' }],
      ['turn:cancel', {}],
      ['turn:retry', { retryId: 'r' }],
      ['agent:switch', { agent: 'alice' }],
    ];
    for (const [name, payload] of requests) {
      expect(await other.refused(name, { sessionId, ...payload })).toBe('session_not_found');
    }
    expect(await other.refused('message:send', { sessionId, messageId: 'm' })).toBe('invalid_payload');
  });

  it('[SES-3] a wrong key, no key and an unknown id cannot be told apart', async () => {
    const { client } = await gateway();
    const [mine, other] = [await client(), await client()];
    const credentials = newCredentials();
    await mine.open({ ...credentials, create: true });
    const { sessionId } = credentials;
    const answers = [
      await other.ask('session:open', { sessionId, key: newCredentials().key }),
      await other.ask('session:open', { sessionId, key: newCredentials().key, create: true }),
      await other.ask('session:open', { sessionId }),
      await other.ask('session:open', newCredentials()),
    ];
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]).toMatchObject({ ok: false, error: { code: 'session_not_found', retryable: false } });
  });

  it('[MSG-6 MSG-7] texts past the limit are payload_too_large; NUL and lone surrogates become U+FFFD', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open();
    const messageId = randomUUID();
    const long = 'x'.repeat(LIMITS.textLength);
    expect(await socket.refused('message:send', { sessionId, messageId, text: `${long}x` })).toBe(
      'payload_too_large',
    );
    await socket.send(sessionId, `a\0b\ud800c`);
    const call = await model.nextCall();
    expect(call.asked).toBe('a\ufffdb\ufffdc');
    call.answer('ok');
    await socket.turn('completed');
    await socket.send(sessionId, long);
    (await model.nextCall()).answer('ok');
  });

  it('[REQ-5] requests of one socket are answered in the order in which they were sent', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    model.autoAnswer = (call) => call.answer('ok');
    const { sessionId } = await socket.open();
    const order: string[] = [];
    await Promise.all([
      socket.send(sessionId, 'one').then(() => order.push('send')),
      socket.do('session:history', { sessionId }).then(() => order.push('history')),
      socket.do('session:leave', { sessionId }).then(() => order.push('leave')),
      socket
        .refused('message:send', { sessionId, messageId: 'm', text: 'late' })
        .then((code) => order.push(code)),
    ]);
    expect(order).toEqual(['send', 'history', 'leave', 'session_not_found']);
  });

  it('[LIM-4] past its burst a socket is rate_limited, and is told how long to wait', async () => {
    const { client } = await gateway();
    const [socket, neighbour] = [await client(), await client()];
    const answers = await Promise.all(Array.from({ length: 40 }, () => socket.ask('agent:list', {})));
    const refused = answers.flatMap((answer) => (answer.ok ? [] : [answer.error]));
    expect(answers.filter(({ ok }) => ok).length).toBeGreaterThanOrEqual(LIMITS.requestBurst);
    expect(refused.length).toBeGreaterThan(0);
    for (const error of refused) {
      expect(error).toMatchObject({ code: 'rate_limited', retryable: true });
      expect(error.retryAfterMs).toBeGreaterThan(0);
    }
    expect((await neighbour.ask('agent:list', {})).ok).toBe(true);
  });

  it("[LIM-1] a packet past 256 KiB closes its socket, and nobody else's", async () => {
    const { client } = await gateway();
    const [socket, neighbour] = [await client(), await client()];
    (socket.socket as unknown as { emit(name: string, payload: unknown): void }).emit('message:send', {
      text: 'x'.repeat(LIMITS.packetBytes + 1),
    });
    await socket.disconnects.next();
    expect((await neighbour.ask('agent:list', {})).ok).toBe(true);
  });

  it('[REQ-7 AGT-5] a request without a payload counts as an empty one', async () => {
    const { client } = await gateway();
    const socket = await client();
    expect(await socket.askRaw('agent:list')).toMatchObject({
      ok: true,
      data: { agents: [{ id: 'alice', name: 'Alice' }, { id: 'debbie' }, { id: 'patricia' }] },
    });
  });
});

describe('the handshake', () => {
  afterEach(disposeAll);

  it('[CONN-1 CONN-2] binds the sessions that it names before the first request is handled', async () => {
    const { client, model } = await gateway();
    model.autoAnswer = (call) => call.answer('ok');
    const credentials = newCredentials();
    const socket = await client({ session: () => ({ ...credentials, create: true }) });
    // Sent without waiting for the binding.
    expect(await socket.send(credentials.sessionId, 'early')).toMatchObject({ duplicate: false });
    expect(await socket.opened.next()).toMatchObject({ sessionId: credentials.sessionId, created: true });
  });

  it('[CONN-3 LIM-3] binds up to sixteen, and answers the rest and the broken ones with session:failed', async () => {
    const { client } = await gateway();
    const list = Array.from({ length: 17 }, () => ({ ...newCredentials(), create: true }));
    const socket = await client({ session: () => list });
    for (const { sessionId } of list.slice(0, 16))
      expect((await socket.opened.next()).sessionId).toBe(sessionId);
    expect(await socket.failed.next()).toMatchObject({
      sessionId: list[16]?.sessionId,
      error: { code: 'invalid_payload' },
    });
    expect(await socket.refused('session:open', {})).toBe('too_many_sessions');

    const broken = await client({ session: () => [{ key: 'x' }, 7, newCredentials()] as never });
    expect(await broken.failed.next()).toMatchObject({ error: { code: 'invalid_payload' } });
    expect(await broken.failed.next()).toMatchObject({ error: { code: 'invalid_payload' } });
    expect(await broken.failed.next()).toMatchObject({ error: { code: 'session_not_found' } });
    expect((await broken.ask('agent:list', {})).ok).toBe(true);
  });
});
