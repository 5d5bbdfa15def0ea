import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { request } from 'node:http';
import { LIMITS } from '../src/protocol.js';
import { sessionHash } from '../src/sessions/session.hash.js';
import { SessionStore, StoreUnavailable } from '../src/sessions/session.store.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient } from './support/client.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';
import { gatewayProcess } from './support/gateway.process.js';
import { startOpenAiServer } from './support/openai.server.js';
import { ADMIN_TOKEN, Operator } from './support/operator.js';
import { SlowClient } from './support/slow.client.js';

/** The answer to a path as it is, which fetch would tidy; without what differs from one time to the next. */
function answerTo(url: string, path: string): Promise<{ status?: number; headers: object; body: string }> {
  return new Promise((resolve, reject) => {
    request(url, { path }, (response) => {
      let body = '';
      response.on('data', (piece: Buffer) => (body += piece.toString()));
      response.on('end', () => {
        const { date: _date, etag: _etag, 'content-length': _length, ...headers } = response.headers;
        resolve({
          status: response.statusCode,
          headers,
          body: body.replace(JSON.stringify(path).slice(1, -1), '<path>'),
        });
      });
    })
      .on('error', reject)
      .end();
  });
}

describe('the way in', () => {
  afterEach(disposeAll);

  it('[ADM-1] is a page that asks for the token, with a strict policy', async () => {
    const { url } = await gateway({ ADMIN_TOKEN });
    for (const path of ['/console', '/console/']) {
      const page = await fetch(url + path);
      expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
      expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self';/);
      expect(page.headers.get('content-security-policy')).not.toContain('unsafe');
      expect(page.headers.get('set-cookie')).toBeNull();
      const html = await page.text();
      expect(html).toContain('<title>Mooring console</title>');
      const [script] = /\/assets\/console-[\w-]+\.js/.exec(html) ?? [];
      expect((await fetch(`${url}${script}`)).status).toBe(200);
    }
    const led = await new Operator(url).ask('');
    expect([led.status, led.headers.get('location')]).toEqual([302, '/console']);
  });

  it('[ADM-1] is not there where there is no admin, nor by any other path', async () => {
    const without = await gateway();
    const unknown = await answerTo(without.url, '/nothing');
    expect(unknown).toMatchObject({ status: 404, body: expect.stringContaining('Cannot GET <path>') });
    const hidden = [
      '/.console/index.html',
      '/.console/openapi.json',
      '/%2econsole/index.html',
      '/console.html',
    ];
    for (const path of ['/console', '/console/', '/console?x', ...hidden]) {
      expect({ path, ...(await answerTo(without.url, path)) }).toEqual({ path, ...unknown });
    }
    const tricks = ['/x/../.console/index.html', '//.console/index.html', '/docs/..%2f.console/index.html'];
    const { url } = await gateway({ ADMIN_TOKEN });
    for (const path of [...hidden, ...tricks]) {
      const { status, body } = await answerTo(url, path);
      expect({ path, refused: status === 404 || status === 403 || status === 400 }).toEqual({
        path,
        refused: true,
      });
      expect(body).not.toContain('Mooring console');
    }
  });
});

describe('what the admin API says of sessions', () => {
  afterEach(disposeAll);

  it('[ADM-2] tells what their turns have used, the running one and withdrawn ones included', async () => {
    const { url, client, model } = await gateway({ ADMIN_TOKEN, STORE: 'sqlite' });
    const operator = new Operator(url);
    const socket = await client();
    const { sessionId } = await socket.open();
    expect(await operator.session(sessionId)).toMatchObject({
      tokens: null,
      turns: [],
      owner: { kind: 'key' },
    });
    await socket.send(sessionId, 'a secret');
    (await model.nextCall()).answer('another secret');
    await socket.turn('completed');
    const once = { inputTokens: 10, outputTokens: 5, estimated: false };
    expect(await operator.session(sessionId)).toMatchObject({ tokens: once });

    const { turnId } = await socket.do('turn:retry', { sessionId, retryId: 'again' });
    const first = (await model.nextCall()).begin();
    expect((await operator.session(sessionId)).turns).toEqual([
      { turnId, messageId: expect.any(String), state: 'running', runningMs: expect.any(Number) },
    ]);
    first
      .part({ type: 'tool-call', toolCallId: 'a', toolName: 'current_time', input: '{}' })
      .finish('tool-calls');
    const second = await model.nextCall();
    const waiting = await socket.send(sessionId, 'later');
    const shown = await operator.session(sessionId);
    expect(shown).toMatchObject({
      state: 'attached',
      turn: turnId,
      turns: [
        { turnId, state: 'running', tokens: once },
        { turnId: waiting.turnId, state: 'queued' },
      ],
      // Those of the answer that was withdrawn, and of the step that ended.
      tokens: { inputTokens: 20, outputTokens: 10, estimated: false },
    });
    second.answer('done');
    (await model.nextCall()).answer('later');
    await socket.turn('completed', waiting.turnId);
    const { sessions } = await operator.sessions();
    const age = Date.parse(sessions[0]?.lastActiveAt ?? '') - Date.parse(sessions[0]?.createdAt ?? '');
    expect(sessions).toMatchObject([{ sessionId, tokens: { inputTokens: 40, outputTokens: 20 } }]);
    expect(age).toBeGreaterThanOrEqual(0);
    expect(JSON.stringify([shown, sessions])).not.toContain('secret');
    expect(JSON.stringify(await operator.session(sessionId, '?content=true'))).toContain('a secret');
  });

  it('[ADM-2] tells what is unsent to whom', async () => {
    const { url, client, model } = await gateway({ ADMIN_TOKEN });
    const operator = new Operator(url);
    const credentials = newCredentials();
    const { sessionId } = credentials;
    const watcher = await client();
    await watcher.open({ ...credentials, create: true });
    const slow = await SlowClient.connect(url, credentials);
    onDispose(() => slow.close());
    slow.pause();
    await watcher.send(sessionId, 'much');
    const call = (await model.nextCall()).begin();
    // What the systems on the way hold is not the gateway's; what comes past it is.
    const piece = 'x'.repeat(256 * 1024);
    await until(async () => {
      call.text(piece);
      const { connections } = await operator.session(sessionId);
      return connections.some(({ state }) => state === 'held');
    }, 'a socket that is held');
    const { connections, unsentBytes } = await operator.session(sessionId);
    const held = connections.find(({ state }) => state === 'held');
    expect(connections).toHaveLength(2);
    expect(held?.unsentBytes).toBeGreaterThan(LIMITS.unsentBytes);
    expect(unsentBytes).toBeGreaterThanOrEqual(held?.unsentBytes ?? Infinity);
    expect((await operator.sessions()).sessions).toMatchObject([{ sessionId, sockets: 2 }]);
    expect((await operator.stats()).unsentBytes).toBeGreaterThan(LIMITS.unsentBytes);
    call.text('y');
    await until(async () => {
      const seen = await operator.session(sessionId);
      return seen.connections.some(({ state, behind }) => state === 'held' && behind > 0);
    }, 'it to be behind');
    call.finish();
    await watcher.turn('completed');
  });
});

describe('what the admin API says of the node', () => {
  afterEach(disposeAll);

  it('[ADM-3] tells what it does now, and did', async () => {
    const { url, client, model } = await gateway({
      ADMIN_TOKEN,
      DETACH_POLICY: 'interrupt',
      DETACH_GRACE: '0ms',
    });
    const operator = new Operator(url);
    const credentials = newCredentials();
    const socket = await client();
    const { position } = await socket.open({ ...credentials, create: true });
    await socket.send(credentials.sessionId, 'one');
    (await model.nextCall()).answer('1');
    await socket.turn('completed');
    await socket.open({ ...credentials, position });
    await socket.open(credentials);
    await socket.send(credentials.sessionId, 'two');
    (await model.nextCall()).begin().text('cut');
    await until(async () => (await operator.stats()).streams === 1, 'a stream');
    expect(await operator.stats()).toMatchObject({
      node: { draining: false, pid: process.pid },
      sessions: { attached: 1, detached: 0, orphaned: 0 },
      sockets: 1,
      opens: { created: 1, replayed: 1, snapshot: 1 },
      turns: { completed: 1, interrupted: 0 },
      tokens: { input: 10, output: 5 },
      orphansEnded: 0,
    });
    socket.vanish();
    await until(async () => (await operator.stats()).turns.interrupted === 1, 'the orphan to be ended');
    const stats = await operator.stats();
    expect(stats).toMatchObject({ sockets: 0, streams: 0, orphans: 0, orphansEnded: 1 });
    expect(stats.droppedSends).toBeGreaterThan(0);
    expect(stats.events.appended).toBeGreaterThan(stats.droppedSends);
    expect(stats.rates.events).toBeGreaterThan(0);
    expect(stats.memory.rss).toBeGreaterThan(1e6);
    const { everyMs } = await operator.history();
    await until(async () => (await operator.history()).samples.length > 0, 'a sample');
    const [sample] = (await operator.history()).samples;
    expect(everyMs).toBe(2_000);
    expect(Object.keys(sample ?? {})).toEqual(['at', 'streams', 'orphans', 'droppedSends', 'resumes']);
  });

  it('[ADM-3] [ADM-5] has figures without its store', async () => {
    const { url, get } = await gateway({ ADMIN_TOKEN });
    const operator = new Operator(url);
    const fail = (): Promise<never> => Promise.reject(new StoreUnavailable('the disk is full'));
    Object.assign(get(SessionStore), { census: fail, list: fail });
    expect(await operator.stats()).toMatchObject({ sessions: null, sockets: 0 });
    expect(await operator.refused('/sessions')).toMatchObject([
      503,
      { code: 'unavailable', retryable: true },
    ]);
  });

  it('[ADM-5] says what is wrong with a request', async () => {
    const { url } = await gateway({ ADMIN_TOKEN });
    const operator = new Operator(url);
    for (const [query, path] of [
      ['?state=odd', 'state'],
      ['?state=attached&state=detached', 'state'],
      ['?limit=1.5', 'limit'],
      [`?cursor=${'x'.repeat(300)}`, 'cursor'],
      ['/some?content=1', 'content'],
    ]) {
      expect(await operator.refused(`/sessions${query}`)).toMatchObject([
        400,
        { code: 'invalid_payload', issues: [{ path }] },
      ]);
    }
    for (const [path, method] of [
      ['/sessions/none', 'GET'],
      ['/sessions/none?content=true', 'GET'],
      ['/sessions/none', 'DELETE'],
      ['/sessions/%00', 'GET'],
    ] as const) {
      expect(await operator.refused(path, method)).toMatchObject([404, { code: 'session_not_found' }]);
    }
    const unknown = await operator.ask('/nothing');
    expect([unknown.status, await unknown.json()]).toEqual([
      404,
      { statusCode: 404, error: 'Not Found', message: 'Cannot GET /admin/nothing' },
    ]);
  });
});

describe('a drain that is asked for', () => {
  afterEach(disposeAll);

  it('[ADM-4] tells clients, takes no new turns, and is seen', async () => {
    const { url, client } = await gateway({ ADMIN_TOKEN, DRAIN_TIMEOUT: '20s' });
    const operator = new Operator(url);
    const socket = await client();
    const { sessionId } = await socket.open();
    expect((await operator.ask('/drain')).status).toBe(404);
    expect((await operator.stats()).node.draining).toBe(false);
    for (let asked = 0; asked < 2; asked += 1) {
      const answer = await operator.ask('/drain', 'POST');
      expect([answer.status, await answer.json()]).toEqual([202, { draining: true, timeoutMs: 20_000 }]);
    }
    expect(await socket.draining.next()).toEqual({ graceMs: 20_000 });
    expect((await operator.stats()).node.draining).toBe(true);
    expect((await fetch(`${url}/health/ready`)).status).toBe(503);
    const message = { sessionId, messageId: randomUUID(), text: 'late' };
    expect(await socket.refused('message:send', message)).toBe('draining');
    const late = new TestClient(url);
    onDispose(() => late.close());
    await expect(late.connected()).rejects.toMatchObject({ data: { code: 'draining' } });
  });

  it('[ADM-4] [OPS-7] is joined by the first signal, and ended by the second one', async () => {
    const vendor = await startOpenAiServer();
    onDispose(() => vendor.stop());
    for (const signals of [1, 2]) {
      const running = await gatewayProcess({
        ...{ ADMIN_TOKEN, STORE: 'memory', OPENAI_BASE_URL: vendor.url, MODEL: 'm' },
      });
      onDispose(() => running.kill('SIGKILL'));
      const socket = new TestClient(running.url);
      onDispose(() => socket.close());
      await socket.connected();
      const { sessionId } = await socket.open();
      await socket.send(sessionId, 'a long one');
      const call = (await vendor.nextCall()).begin().text('a word');
      await new Operator(running.url).ask('/drain', 'POST');
      await socket.draining.next();
      const exited = running.kill('SIGTERM');
      await until(() => running.output().includes('SIGTERM'), 'the signal');
      if (signals === 2) void running.kill('SIGTERM');
      else call.text(' and the end').finish();
      expect(await exited).toBe(signals === 2 ? 1 : 0);
    }
  });

  it('[ADM-4] [ADM-6] ends the process with 0, and each action is a line of the audit log', async () => {
    const running = await gatewayProcess({ ADMIN_TOKEN, STORE: 'memory', LOG_LEVEL: 'error' });
    onDispose(() => running.kill('SIGKILL'));
    const operator = new Operator(running.url);
    const socket = new TestClient(running.url);
    onDispose(() => socket.close());
    await socket.connected();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'a secret');
    await socket.turn('completed');
    await operator.sessions();
    await operator.session(sessionId);
    await operator.stats();
    await operator.session(sessionId, '?content=true');
    await new Operator(running.url, 'a-wrong-guess').sessions();
    await fetch(`${running.url}/admin/sessions`);
    await operator.close(sessionId);
    await operator.close(sessionId);
    await operator.ask('/drain', 'POST');
    expect(await running.exited()).toBe(0);

    const lines = running
      .output()
      .split('\n')
      .filter((line) => line.includes('"audit"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const session = sessionHash(sessionId);
    expect(session).toMatch(/^[0-9a-f]{12}$/);
    const common = { context: 'Audit', address: '127.0.0.1' };
    expect(lines).toMatchObject([
      { ...common, audit: 'session.content', outcome: 'done', session },
      { ...common, audit: 'token', outcome: 'refused' },
      { ...common, audit: 'session.close', outcome: 'done', session },
      { ...common, audit: 'session.close', outcome: 'not_found', session },
      { ...common, audit: 'node.drain', outcome: 'done' },
    ]);
    expect(new Set(lines.map(({ request: id }) => id)).size).toBe(lines.length);
    for (const secret of ['a secret', ADMIN_TOKEN, 'a-wrong-guess', sessionId])
      expect(running.output()).not.toContain(secret);
  });
});

describe('who guesses the token', () => {
  afterEach(disposeAll);

  it('[ADM-7] is not listened to for a while, and no other address notices', async () => {
    const { url } = await gateway({ ADMIN_TOKEN, TRUST_PROXY: 'loopback' });
    const from = async (address: string, token: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': address };
      return (await fetch(`${url}/admin/stats`, { headers })).status;
    };
    expect(await from('192.0.2.1', ADMIN_TOKEN)).toBe(200);
    for (let guess = 0; guess < 10; guess += 1) expect(await from('192.0.2.1', `guess-${guess}`)).toBe(404);
    // So far it may have been a person.
    expect(await from('192.0.2.1', ADMIN_TOKEN)).toBe(200);
    expect(await from('192.0.2.1', 'once-too-often')).toBe(404);
    expect(await from('192.0.2.1', ADMIN_TOKEN)).toBe(404);
    expect(await from('192.0.2.2', ADMIN_TOKEN)).toBe(200);
    // Without a token nothing is guessed.
    for (let count = 0; count < 30; count += 1) await fetch(`${url}/admin/stats`);
    await until(async () => (await from('192.0.2.1', ADMIN_TOKEN)) === 200, 'it to be listened to again');
  });
});
