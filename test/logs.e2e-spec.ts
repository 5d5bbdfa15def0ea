import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { until } from './support/channel.js';
import { newCredentials, TestClient } from './support/client.js';
import { startCollector } from './support/collector.js';
import { disposeAll, onDispose, temporaryDirectory } from './support/gateway.js';
import { gatewayProcess, type GatewayProcess } from './support/gateway.process.js';

type Line = Record<string, unknown> & { msg: string; level: number };

const [DEBUG, INFO] = [20, 30];

async function logging(env: Record<string, string>): Promise<GatewayProcess & { lines(): Line[] }> {
  const running = await gatewayProcess({ DATA_DIR: await temporaryDirectory(), ...env });
  onDispose(() => running.kill('SIGKILL'));
  const lines = () =>
    running
      .output()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line);
  return { ...running, lines };
}

async function connect(url: string): Promise<TestClient> {
  const client = new TestClient(url);
  onDispose(() => client.close());
  await client.connected();
  return client;
}

function hashOf(sessionId: string): string {
  return createHash('sha256').update(sessionId).digest('hex').slice(0, 12);
}

describe('the log', () => {
  afterEach(disposeAll);

  it('[OBS-7] at level info tells of sessions and of how turns end, and of nothing in between', async () => {
    const collector = await startCollector();
    onDispose(() => collector.stop());
    const { url, lines, output } = await logging({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    const credentials = newCredentials();
    const { sessionId, key } = credentials;
    const socket = await connect(url);
    await socket.open({ ...credentials, create: true });
    const { turnId } = await socket.send(sessionId, '/echo a word of mine');
    await socket.turn('completed');
    const failing = await socket.send(sessionId, '/fail provider_timeout');
    await socket.turn('failed');
    await socket.open(credentials);
    await socket.do('session:close', { sessionId });
    await until(() => output().includes('session closed'), 'the last line');

    const session = hashOf(sessionId);
    const told = lines().filter((line) => line['session'] === session);
    expect(told).toMatchObject([
      { msg: 'session opened', how: 'created', agent: 'alice', level: INFO, request: expect.any(String) },
      {
        msg: 'turn ended',
        level: INFO,
        turn: turnId,
        agent: 'alice',
        state: 'completed',
        cause: 'completed',
        durationMs: expect.any(Number),
        firstTokenMs: expect.any(Number),
        inputTokens: expect.any(Number),
        outputTokens: expect.any(Number),
        trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      },
      { turn: failing.turnId, code: 'provider_timeout' },
      { msg: 'turn ended', turn: failing.turnId, state: 'failed', cause: 'provider_timeout' },
      { msg: 'session closed', level: INFO, request: expect.any(String) },
    ]);
    // A turn outlives the request that began it.
    for (const line of told.filter((each) => each['turn'])) expect(line).not.toHaveProperty('request');
    for (const secret of [sessionId, key, 'a word of mine']) expect(output()).not.toContain(secret);
  });

  it('[OBS-7] [SEC-4] at level trace a request is followed by its id, and still nothing is given away', async () => {
    const { url, lines, output, kill } = await logging({ LOG_LEVEL: 'trace' });
    const credentials = newCredentials();
    const { sessionId, key } = credentials;
    const socket = await connect(url);
    await socket.open({ ...credentials, create: true });
    const { turnId } = await socket.send(sessionId, '/echo a word of mine');
    await socket.turn('completed');
    await socket.refused('turn:cancel', { sessionId, turnId: 'none' });
    await socket.askRaw('an event of mine', { sessionId });
    const answer = await fetch(`${url}/api/chat/${sessionId}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    expect(answer.status).toBe(200);
    await fetch(`${url}/api/chat/${sessionId}`, { headers: { authorization: `Bearer ${key}x` } });
    socket.vanish();
    await until(() => output().includes('"disconnected"'), 'the last line');

    const asked = lines().filter(({ msg }) => msg === 'request');
    expect(asked.map(({ event }) => event)).toEqual([
      'session:open',
      'message:send',
      'turn:cancel',
      'unknown',
    ]);
    const ids = asked.map(({ request }) => request);
    expect(new Set(ids).size).toBe(4);
    const of = (index: number) => lines().filter(({ request }) => request === ids[index]);
    expect(of(0)).toContainEqual(expect.objectContaining({ msg: 'session opened' }));
    expect(of(1)).toContainEqual(
      expect.objectContaining({ msg: 'turn accepted', turn: turnId, session: hashOf(sessionId) }),
    );
    expect(of(2)).toContainEqual(
      expect.objectContaining({
        msg: 'request refused',
        code: 'turn_not_found',
        event: 'turn:cancel',
        session: hashOf(sessionId),
        level: DEBUG,
      }),
    );
    expect(of(3)).toContainEqual(expect.objectContaining({ code: 'unknown_event' }));
    expect(lines()).toContainEqual(
      expect.objectContaining({ msg: 'turn began', turn: turnId, level: DEBUG }),
    );
    // Over HTTP.
    expect(
      lines().filter(
        ({ msg, code, request }) =>
          msg === 'request refused' && code === 'session_not_found' && typeof request === 'string',
      ),
    ).toHaveLength(1);
    expect(await kill('SIGTERM')).toBe(0);
    for (const secret of [sessionId, key, 'a word of mine', 'an event of mine', '127.0.0.1:']) {
      const given = lines().filter(
        (line) => JSON.stringify(line).includes(secret) && !line.msg.includes(url),
      );
      expect(given).toEqual([]);
    }
  });

  it('[OBS-7] tells of each session that expires', async () => {
    const { url, lines, output } = await logging({ SESSION_TTL: '1ms' });
    const socket = await connect(url);
    const { sessionId } = await socket.open();
    await socket.do('session:leave', { sessionId });
    await until(() => output().includes('session expired'), 'its end');
    expect(lines()).toContainEqual(
      expect.objectContaining({ msg: 'session expired', session: hashOf(sessionId), level: INFO }),
    );
  });
});
