import { request } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ModelError } from '../src/agents/model.provider.js';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient } from './support/client.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';

async function metric(url: string, line: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const found = text.split('\n').find((row) => row.startsWith(`${line} `));
  return Number(found?.split(' ').at(-1) ?? 0);
}

/** A path as it is, which fetch would tidy. */
function requestRaw(url: string, path: string): Promise<{ status?: number; body: string }> {
  return new Promise((resolve, reject) => {
    request(url, { path }, (response) => {
      let body = '';
      response.on('data', (piece: Buffer) => (body += piece.toString()));
      response.on('end', () => resolve({ status: response.statusCode, body }));
    })
      .on('error', reject)
      .end();
  });
}

/** By a WebSocket, and by the first request of the polling transport. */
async function connects(url: string, origin?: string): Promise<boolean[]> {
  const client = new TestClient(url, { origin });
  onDispose(() => client.close());
  const polled = await fetch(`${url}/socket.io/?EIO=4&transport=polling`, {
    headers: origin ? { origin } : {},
  });
  return [
    await client.connected().then(
      () => true,
      () => false,
    ),
    polled.status === 200,
  ];
}

describe('health', () => {
  afterEach(disposeAll);

  it('[OPS-3] is live and ready', async () => {
    const { url } = await gateway();
    for (const path of ['live', 'ready']) {
      const response = await fetch(`${url}/health/${path}`);
      expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
    }
  });

  it('[OPS-3] is not ready without its store', async () => {
    const { url, get } = await gateway();
    Object.assign(get(SessionStore), { ping: () => new Promise(() => undefined) });
    expect((await fetch(`${url}/health/ready`)).status).toBe(503);
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
  });
});

describe('metrics', () => {
  afterEach(disposeAll);

  it('[OPS-4] [RES-1] count what happens', async () => {
    const { url, client, model } = await gateway();
    const credentials = newCredentials();
    const socket = await client();
    const { position } = await socket.open({ ...credentials, create: true });
    await socket.send(credentials.sessionId, 'one');
    (await model.nextCall()).answer('1');
    await socket.turn('completed');
    await socket.open({ ...credentials, position });
    await socket.open(credentials);
    await socket.send(credentials.sessionId, 'two');
    const call = await model.nextCall();
    expect(await metric(url, 'mooring_sessions{state="attached"}')).toBe(1);
    expect(await metric(url, 'mooring_turns_running')).toBe(1);
    socket.vanish();
    await until(async () => (await metric(url, 'mooring_sessions{state="orphaned"}')) === 1, 'an orphan');
    call.answer('2');
    await until(async () => (await metric(url, 'mooring_dropped_sends_total')) > 0, 'dropped sends');
    await until(
      async () =>
        (await metric(url, 'mooring_turns_total{state="completed",cause="completed",agent="alice"}')) === 2,
    );
    expect(await metric(url, 'mooring_sessions{state="detached"}')).toBe(1);
    for (const kind of ['created', 'replayed', 'snapshot']) {
      expect(await metric(url, `mooring_opens_total{kind="${kind}"}`)).toBe(1);
    }
    expect(await metric(url, 'mooring_tokens_total{direction="input",estimated="false",agent="alice"}')).toBe(
      20,
    );
    expect(await metric(url, 'mooring_first_token_seconds_count')).toBe(2);
    expect(await metric(url, 'mooring_turn_seconds_count')).toBe(2);
  });

  it('[OPS-4] tell how turns ended, and why', async () => {
    const { url, client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'one');
    await model.nextCall();
    await socket.do('turn:cancel', { sessionId });
    await socket.turn('cancelled');
    await socket.send(sessionId, 'two');
    (await model.nextCall()).fail(new ModelError('provider_timeout', 'silent'));
    await socket.turn('failed');
    await socket.send(sessionId, 'three');
    await model.nextCall();
    await socket.send(sessionId, 'four', { whenBusy: 'interrupt' });
    await socket.turn('interrupted');
    for (const labels of [
      'state="cancelled",cause="cancelled"',
      'state="failed",cause="provider_timeout"',
      'state="interrupted",cause="message"',
    ]) {
      expect(await metric(url, `mooring_turns_total{${labels},agent="alice"}`)).toBe(1);
    }
    expect(await metric(url, 'mooring_first_token_seconds_count')).toBe(0);
    const { headers } = await fetch(`${url}/metrics`);
    expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  });
});

describe('the admin API', () => {
  afterEach(disposeAll);

  it('[OPS-6] is not there without its token', async () => {
    const open = await gateway();
    const closed = await gateway({ ADMIN_TOKEN: 'a-token' });
    const asked: [string, string, string | undefined][] = [
      [open.url, '/admin/sessions', 'Bearer a-token'],
      [open.url, '/admin/sessions', 'Bearer '],
      [closed.url, '/admin/sessions', undefined],
      [closed.url, '/admin/sessions', 'Bearer another'],
      [closed.url, '/admin/sessions/x?content=true', undefined],
      [closed.url, '/admin', undefined],
      [closed.url, '/admin/', 'Bearer a-tokem'],
      [closed.url, '/admin/stats', undefined],
      [closed.url, '/admin/stats/history', 'Basic a-token'],
      [closed.url, '/admin/openapi.json', 'bearer a-token'],
      [closed.url, '/admin/else', undefined],
    ];
    for (const [url, path, authorization] of asked) {
      const response = await fetch(url + path, { headers: authorization ? { authorization } : {} });
      // As any other path that is not there.
      expect([response.status, await response.json()]).toEqual([
        404,
        { statusCode: 404, error: 'Not Found', message: `Cannot GET ${path}` },
      ]);
    }
    const { sessionId } = await (await closed.client()).open();
    expect((await fetch(`${closed.url}/admin/sessions/${sessionId}`, { method: 'DELETE' })).status).toBe(404);
    expect(closed.get(SessionBindings).isAttached(sessionId)).toBe(true);
  });

  it('[OPS-6] lists, shows and closes sessions', async () => {
    const { url, client, model } = await gateway({ ADMIN_TOKEN: 'a-token' });
    const headers = { authorization: 'Bearer a-token' };
    const get = async (path: string): Promise<unknown> => (await fetch(url + path, { headers })).json();
    const socket = await client();
    const one = await socket.open();
    const two = await socket.open();
    await socket.send(one.sessionId, 'a secret');
    (await model.nextCall()).answer('kept');
    await socket.turn('completed');
    await socket.do('session:leave', { sessionId: two.sessionId });

    const { sessions } = (await get('/admin/sessions')) as { sessions: { sessionId: string }[] };
    expect(sessions).toHaveLength(2);
    expect(sessions.find(({ sessionId }) => sessionId === one.sessionId)).toEqual({
      sessionId: one.sessionId,
      agent: 'alice',
      state: 'attached',
      sockets: 1,
      turn: null,
      lastActiveAt: expect.any(String),
      createdAt: expect.any(String),
      unsentBytes: 0,
      tokens: { inputTokens: 10, outputTokens: 5, estimated: false },
    });
    expect(await get('/admin/sessions?state=detached')).toMatchObject({
      sessions: [{ sessionId: two.sessionId }],
    });
    const page = (await get('/admin/sessions?limit=1')) as { nextCursor: string };
    expect(await get(`/admin/sessions?limit=1&cursor=${page.nextCursor}`)).toMatchObject({ sessions: [{}] });
    for (const query of ['state=odd', 'limit=0', 'limit=101', 'limit=x', 'limit=', 'cursor=odd', 'cursor=']) {
      expect((await fetch(`${url}/admin/sessions?${query}`, { headers })).status).toBe(400);
    }
    expect(JSON.stringify(await get(`/admin/sessions/${one.sessionId}`))).not.toContain('secret');
    expect(JSON.stringify(await get(`/admin/sessions/${one.sessionId}?content=true`))).toContain('a secret');
    const close = (id: string) => fetch(`${url}/admin/sessions/${id}`, { method: 'DELETE', headers });
    expect((await close(one.sessionId)).status).toBe(204);
    const last = await socket.until(({ type }) => type === 'session');
    expect(last.at(-1)).toMatchObject({ type: 'session', state: 'closed' });
    expect((await close(one.sessionId)).status).toBe(404);
    expect((await fetch(`${url}/admin/sessions/none`, { headers })).status).toBe(404);
  });

  it('[OPS-6] [SES-6] tells of a running turn, and ends it with its session', async () => {
    const { url, client, model } = await gateway({ ADMIN_TOKEN: 'a-token' });
    const headers = { authorization: 'Bearer a-token' };
    const credentials = newCredentials();
    const address = `${url}/admin/sessions/${credentials.sessionId}`;
    const socket = await client();
    await socket.open({ ...credentials, create: true });
    const { turnId, messageId } = await socket.send(credentials.sessionId, 'endless');
    const call = (await model.nextCall()).begin().text('begun');
    socket.vanish();
    const orphans = async (): Promise<{ sessions: unknown[] }> =>
      (await fetch(`${url}/admin/sessions?state=orphaned`, { headers })).json() as never;
    await until(async () => (await orphans()).sessions.length === 1, 'an orphan');
    expect(await orphans()).toMatchObject({ sessions: [{ state: 'orphaned', sockets: 0, turn: turnId }] });
    expect(await (await fetch(address, { headers })).json()).toMatchObject({
      state: 'orphaned',
      turn: turnId,
      turns: [{ turnId, messageId, state: 'running' }],
    });
    const back = await client();
    await back.open(credentials);
    expect((await fetch(address, { method: 'DELETE', headers })).status).toBe(204);
    const last = await back.until(({ type }) => type === 'session');
    expect(last.slice(-2)).toMatchObject([
      { type: 'turn', state: 'interrupted', reason: 'closed' },
      { type: 'session', state: 'closed' },
    ]);
    expect(call.aborted).toBe(true);
  });
});

describe('the web server', () => {
  afterEach(disposeAll);

  it('[OPS-5] serves the page and its client, with a strict policy', async () => {
    const { url } = await gateway();
    const page = await fetch(url);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(page.headers.get('content-security-policy')).not.toContain('unsafe');
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    expect(page.headers.get('referrer-policy')).toBe('no-referrer');
    expect(page.headers.get('x-powered-by')).toBeNull();
    expect(page.headers.get('cache-control')).toBe('public, max-age=0');
    const html = await page.text();
    expect(html).toContain('Mooring');
    const [script] = /\/assets\/[\w-]+\.js/.exec(html) ?? [];
    const asset = await fetch(`${url}${script}`);
    expect([asset.status, asset.headers.get('cache-control')]).toEqual([
      200,
      'public, max-age=31536000, immutable',
    ]);
    expect((await fetch(`${url}/socket.io/socket.io.esm.min.js`)).status).toBe(200);
  });

  it('[OPS-5] serves nothing else', async () => {
    const { url } = await gateway();
    const unknown = await fetch(`${url}/nothing`);
    expect([unknown.status, await unknown.json()]).toEqual([
      404,
      { statusCode: 404, error: 'Not Found', message: 'Cannot GET /nothing' },
    ]);
    for (const path of [
      '/../package.json',
      '/%2e%2e/package.json',
      '/..%2fpackage.json',
      '/.git',
      '/%',
      '/%00',
    ]) {
      const { status = 0, body } = await requestRaw(url, path);
      expect({ path, refused: status >= 400 && status < 500 }).toEqual({ path, refused: true });
      expect(body).not.toContain('    at ');
    }
    const posted = await fetch(url, {
      method: 'POST',
      body: '{',
      headers: { 'content-type': 'application/json' },
    });
    expect(posted.status).toBeLessThan(500);
  });

  it('[SEC-2] without an allowlist only the same origin connects', async () => {
    const { url } = await gateway();
    expect(await connects(url, url)).toEqual([true, true]);
    expect(await connects(url, 'https://evil.example')).toEqual([false, false]);
    expect(await connects(url, 'null')).toEqual([false, false]);
    const answer = await fetch(`${url}/health/live`, { headers: { origin: 'https://evil.example' } });
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('[SEC-2] with an allowlist its members connect, for HTTP and the upgrade alike', async () => {
    const { url } = await gateway({ CORS_ORIGINS: 'https://a.example,https://b.example' });
    expect(await connects(url, 'https://b.example')).toEqual([true, true]);
    expect(await connects(url, 'https://c.example')).toEqual([false, false]);
    for (const path of ['/health/live', '/socket.io/?EIO=4&transport=polling']) {
      const allowed = async (origin: string) =>
        (await fetch(url + path, { headers: { origin } })).headers.get('access-control-allow-origin');
      expect(await allowed('https://a.example')).toBe('https://a.example');
      expect(await allowed('https://c.example')).toBeNull();
    }
  });

  it('[SEC-2] what is no browser sends no origin, and connects', async () => {
    expect(await connects((await gateway()).url)).toEqual([true, true]);
    expect(await connects((await gateway({ CORS_ORIGINS: 'https://a.example' })).url)).toEqual([true, true]);
  });
});
