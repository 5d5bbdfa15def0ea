import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Server } from 'socket.io';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type JWTPayload } from 'jose';
import { AddressLimits } from '../src/gateway/address.limits.js';
import { ChatGateway } from '../src/gateway/chat.gateway.js';
import { DrainService } from '../src/gateway/drain.service.js';
import type { Position } from '../src/protocol.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { Channel } from '../src/testing/channel.js';
import { until } from './support/channel.js';
import { TestClient, textOf } from './support/client.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';
import { AUTH, signed } from './support/tokens.js';

const SESSION_ID = 'a-session-of-ada-s';

const now = (): number => Math.floor(Date.now() / 1_000);

function ofAda(claims: JWTPayload = {}): Promise<string> {
  return signed({ sub: 'ada', ...claims });
}

describe('AUTH=jwt', () => {
  afterEach(disposeAll);

  it('[CONN-4] [SEC-1] a bad token refuses the connection', async () => {
    const { url } = await gateway(AUTH);
    const bad: [string, string | undefined][] = [
      ['missing', undefined],
      ['garbage', 'no.jwt.here'],
      ['expired', await signed({ sub: 'ada', exp: now() - 1 })],
      ['not yet valid', await signed({ sub: 'ada', nbf: now() + 60 })],
      ['without sub', await signed({})],
      ['of another issuer', await signed({ sub: 'ada', iss: 'others' })],
      ['of another audience', await signed({ sub: 'ada', aud: 'others' })],
      ['signed by another', await signed({ sub: 'ada' }, 'another secret of at least thirty-two bytes')],
      [
        'unsigned',
        new UnsecuredJWT({ sub: 'ada', iss: 'tests', aud: 'mooring' }).setExpirationTime('1h').encode(),
      ],
    ];
    for (const [name, given] of bad) {
      const client = new TestClient(url, { token: given });
      onDispose(() => client.close());
      const refusal = await client.connected().then(
        () => undefined,
        (error: { data?: unknown }) => error.data,
      );
      expect({ name, refusal }).toEqual({ name, refusal: { code: 'unauthorized' } });
    }
  });

  it('[SES-3] [SES-4] [SES-11] the owner is the subject: no key, and nobody else finds or lists the session', async () => {
    const { client, model } = await gateway(AUTH);
    model.autoAnswer = (call) => call.answer('ok');
    const ada = await client({ token: await signed({ sub: 'ada' }) });
    const eve = await client({ token: await signed({ sub: 'eve' }) });
    const ids: string[] = [];
    for (const text of ['first', 'second', 'third']) {
      const opened = await ada.open();
      expect(opened).not.toHaveProperty('key');
      ids.unshift(opened.sessionId);
      await ada.send(opened.sessionId, `${text} ${'x'.repeat(80)}`);
      await ada.turn('completed');
    }
    const [newest = ''] = ids;
    expect(await eve.refused('session:open', { sessionId: newest })).toBe('session_not_found');
    expect(await eve.refused('session:open', { sessionId: newest, create: true })).toBe('session_not_found');
    expect(await eve.do('session:list', {})).toEqual({ sessions: [] });
    expect(await ada.open({ sessionId: newest })).toMatchObject({ created: false });

    const page = await ada.do('session:list', { limit: 2 });
    expect(page.sessions.map(({ sessionId }) => sessionId)).toEqual(ids.slice(0, 2));
    expect(page.sessions[0]).toEqual({
      sessionId: newest,
      agent: 'alice',
      title: `third ${'x'.repeat(80)}`.slice(0, 60),
      state: 'attached',
      updatedAt: expect.any(String),
    });
    const rest = await ada.do('session:list', { limit: 2, cursor: page.nextCursor });
    expect(rest.sessions.map(({ sessionId }) => sessionId)).toEqual(ids.slice(2));
    expect(rest.nextCursor).toBeUndefined();
    expect(await ada.refused('session:list', { cursor: 'nonsense' })).toBe('invalid_payload');
  });

  it('[SES-11] a list tells the state of each session', async () => {
    const { client, model } = await gateway(AUTH);
    const [ada, watcher] = [await client({ token: await ofAda() }), await client({ token: await ofAda() })];
    const [attached, detached, orphaned] = [await ada.open(), await ada.open(), await ada.open()];
    await ada.do('session:leave', { sessionId: detached.sessionId });
    await ada.send(orphaned.sessionId, 'endless');
    await model.nextCall();
    await ada.do('session:leave', { sessionId: orphaned.sessionId });
    const { sessions } = await watcher.do('session:list', {});
    expect(Object.fromEntries(sessions.map(({ sessionId, state }) => [sessionId, state]))).toEqual({
      [attached.sessionId]: 'attached',
      [detached.sessionId]: 'detached',
      [orphaned.sessionId]: 'orphaned',
    });
    expect(sessions[0]?.sessionId).toBe(orphaned.sessionId);
  });

  it('[CONN-6] [RES-2] at exp the transport is closed, and a client with a fresh token resumes by itself', async () => {
    const { url, model } = await gateway(AUTH);
    const tokens = [await ofAda({ exp: now() + 3 }), await ofAda()];
    const sessionId = 'a-session-of-ada';
    const at: { position?: Position } = {};
    const socket = new TestClient(url, {
      token: () => tokens.shift(),
      session: () => ({ sessionId, create: true, ...at }),
      reconnection: true,
    });
    onDispose(() => socket.close());
    await socket.connected();
    const opened = await socket.opened.next();
    expect(opened).toMatchObject({ sessionId, created: true });
    await socket.send(sessionId, 'hello');
    const call = (await model.nextCall()).begin().text('before');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    at.position = socket.position(opened);
    expect(await socket.disconnects.next()).toBe('transport close');
    call.text(', after').finish();
    const again = await socket.opened.next();
    expect(again).toMatchObject({ sessionId, created: false, recovered: true });
    if (again.turns.length > 0) await socket.turn('completed');
    const missed = [...again.events, ...socket.events.filter(({ seq }) => seq > again.position.seq)];
    expect(textOf(missed)).toBe(', after');
    expect(tokens).toHaveLength(0);
  });

  it('[CONN-6] [CONN-4] at exp a client whose token is not renewed stays out', async () => {
    const { url } = await gateway(AUTH);
    const token = await ofAda({ exp: now() + 3 });
    const socket = new TestClient(url, { token, reconnection: true });
    onDispose(() => socket.close());
    await socket.connected();
    await socket.disconnects.next();
    await expect(socket.connected()).rejects.toMatchObject({ data: { code: 'unauthorized' } });
  });
});

/** A key server that answers when it is let. */
async function keyServer() {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const body = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' }] });
  const asked = new Channel<(status: number) => void>('a request to the key server');
  const server = createServer((_, response) =>
    asked.push((status) => response.writeHead(status, { 'content-type': 'application/json' }).end(body)),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onDispose(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    asked,
    token: new SignJWT({ sub: 'ada', exp: now() + 60 })
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .sign(privateKey),
  };
}

function askOverHttp(url: string, token: string, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      id: SESSION_ID,
      messages: [{ id: 'm1', role: 'user', parts: [{ type: 'text', text: 'Tell me' }] }],
    }),
    ...(signal && { signal }),
  });
}

describe('JWKS_URL', () => {
  afterEach(disposeAll);

  it('[SEC-5] while the keys cannot be read nobody is called unauthorized', async () => {
    const keys = await keyServer();
    const { url, client } = await gateway({ AUTH: 'jwt', JWKS_URL: keys.url });
    const token = await keys.token;
    const early = new TestClient(url, { token });
    onDispose(() => early.close());
    const refusal = expect(early.connected()).rejects.toMatchObject({ data: { code: 'internal' } });
    (await keys.asked.next())(503);
    await refusal;
    // Of whatever brings a token.
    const asked = askOverHttp(url, token);
    (await keys.asked.next())(503);
    const response = await asked;
    expect([response.status, await response.json()]).toMatchObject([503, { error: { code: 'unavailable' } }]);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(/^mooring_connections_refused_total\{reason="keys_unavailable"\} 2$/m);
    const later = client({ token });
    (await keys.asked.next())(200);
    expect(await (await later).open()).toMatchObject({ created: true });
  });

  it('[SES-4] [HTTP-1] who leaves while its token is looked at leaves nothing bound behind', async () => {
    const keys = await keyServer();
    const { url, get } = await gateway({ AUTH: 'jwt', JWKS_URL: keys.url });
    const token = await keys.token;
    const leaving = new AbortController();
    const left = askOverHttp(url, token, leaving.signal);
    const answer = await keys.asked.next();
    leaving.abort();
    await expect(left).rejects.toThrow();
    answer(200);
    // Another one, whom the same keys let in, is through later.
    const other = await fetch(`${url}/api/chat/${SESSION_ID}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await other.text();
    await until(async () => (await get(SessionStore).census()).attached === 0, 'nobody to be bound');
    expect(get(AddressLimits).connections).toBe(0);
  });

  it('[CONN-5] who waits for its token while a drain begins is not let in', async () => {
    const keys = await keyServer();
    const { url, get } = await gateway({ AUTH: 'jwt', JWKS_URL: keys.url });
    const late = new TestClient(url, { token: await keys.token });
    onDispose(() => late.close());
    const refusal = expect(late.connected()).rejects.toMatchObject({ data: { code: 'draining' } });
    const answer = await keys.asked.next();
    get(DrainService).request();
    answer(200);
    await refusal;
  });

  it('[LIM-9] a transport carries one socket, however often it asks before it is let in', async () => {
    const keys = await keyServer();
    const { url, get } = await gateway({ AUTH: 'jwt', JWKS_URL: keys.url });
    const peer = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    const answers = new Channel<string>('an answer');
    peer.addEventListener('message', ({ data }) => answers.push(String(data)));
    await answers.next();
    const join = `40${JSON.stringify({ token: await keys.token })}`;
    for (let count = 0; count < 20; count += 1) peer.send(join);
    for (let count = 1; count < 20; count += 1)
      expect(await answers.next()).toContain('"code":"invalid_payload"');
    (await keys.asked.next())(200);
    expect(await answers.next()).toMatch(/^40{/);
    expect(get(ChatGateway).sockets).toBe(1);
    peer.close();
  });
});

describe('AUTH=anonymous', () => {
  afterEach(disposeAll);

  it('[SES-11] lists nothing', async () => {
    const { client } = await gateway();
    const socket = await client();
    expect(await socket.refused('session:list', {})).toBe('unauthorized');
  });

  it('[SEC-6] nothing of the handshake is held once the sessions are bound', async () => {
    const { client, get } = await gateway(AUTH);
    const ada = await client({
      token: await ofAda(),
      session: () => ({ sessionId: SESSION_ID, create: true }),
    });
    await ada.opened.next();
    // Requests wait for the handshake.
    await ada.do('agent:list', {});
    const { server } = get(ChatGateway) as unknown as { server: Server };
    const [socket] = server.sockets.sockets.values();
    expect(socket?.handshake).toEqual({ headers: {}, query: {}, auth: {} });
    expect(socket?.conn.request).toBeUndefined();
  });
});
