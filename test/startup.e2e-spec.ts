import { createServer } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { failingStart, gatewayProcess } from './support/gateway.process.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient } from './support/client.js';
import { disposeAll, onDispose, temporaryDirectory } from './support/gateway.js';
import { startOpenAiServer } from './support/openai.server.js';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));

async function connect(url: string): Promise<TestClient> {
  const client = new TestClient(url);
  onDispose(() => client.close());
  await client.connected();
  return client;
}

describe('a start', () => {
  afterEach(disposeAll);

  it('[OPS-1] that cannot be done names every bad variable, on stderr, with exit code 1', async () => {
    const { code, stderr } = await failingStart({
      PORT: 'x',
      STORE: 'redis',
      SESSION_TTL: '5 minutes',
      MAX_TURNS: '0',
    });
    expect(code).toBe(1);
    for (const name of ['PORT', 'STORE', 'SESSION_TTL', 'MAX_TURNS']) expect(stderr).toContain(name);
    expect(stderr).not.toContain('    at ');
  });

  it('[OPS-1] [SEC-4] reads secrets from files, and shows none that cannot be used', async () => {
    const file = join(await temporaryDirectory(), 'secret');
    await writeFile(file, 'sk a-secret\n');
    const { code, stderr } = await failingStart({
      OPENAI_API_KEY_FILE: file,
      MODEL: 'm',
      JWT_SECRET: 'short-one',
    });
    expect(code).toBe(1);
    expect(stderr).toContain('OPENAI_API_KEY');
    expect(stderr).toContain('JWT_SECRET');
    expect(stderr).not.toMatch(/a-secret|short-one/);
  });

  it('[OPS-1] --help prints the table', () => {
    const { stdout, status } = spawnSync(process.execPath, [MAIN, '--help'], { encoding: 'utf8' });
    expect(status).toBe(0);
    for (const name of ['PORT', 'OPENAI_BASE_URL', 'DETACHED_TURN_LIMIT', 'NAME_FILE'])
      expect(stdout).toContain(name);
  });

  it('[OPS-2] on a port that is in use names it', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onDispose(() => new Promise((resolve) => server.close(resolve)));
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await failingStart({ PORT: `${port}`, STORE: 'memory' });
    expect(code).toBe(1);
    expect(stderr).toContain(`${port} is in use`);
    expect(stderr).not.toContain('    at ');
  });

  it('[AGT-1] with a broken agent names the file and the line', async () => {
    const AGENTS_DIR = await temporaryDirectory();
    await writeFile(
      join(AGENTS_DIR, 'alice.md'),
      '---\nname: Alice\ndescription: x\ntools: [nothing]\n---\nYou are Alice.\n',
    );
    const { code, stderr } = await failingStart({ AGENTS_DIR, STORE: 'memory' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/alice\.md:4: .*nothing/);
    expect(stderr).not.toContain('    at ');
  });

  it('[STO-5] on a data folder that another process owns is refused', async () => {
    const DATA_DIR = await temporaryDirectory();
    const first = await gatewayProcess({ DATA_DIR });
    onDispose(() => first.kill('SIGKILL'));
    const { code, stderr } = await failingStart({ DATA_DIR });
    expect(code).toBe(1);
    expect(stderr).toContain(DATA_DIR);
    expect(stderr).not.toContain('    at ');
  });

  it('[OPS-2] [OPS-8] says its URL at any log level, and warns of an open key', async () => {
    for (const LOG_LEVEL of ['error', 'silent']) {
      const quiet = await gatewayProcess({ STORE: 'memory', LOG_LEVEL });
      onDispose(() => quiet.kill('SIGKILL'));
      expect(quiet.output().trim().split('\n')).toHaveLength(1);
    }
    const vendor = { OPENAI_BASE_URL: 'http://127.0.0.1:9/v1', OPENAI_API_KEY: 'sk-open-to-all', MODEL: 'm' };
    const open = await gatewayProcess({ STORE: 'memory', HOST: '0.0.0.0', ...vendor });
    onDispose(() => open.kill('SIGKILL'));
    expect(open.output()).toContain('ANYONE WHO REACHES');
    expect(open.output()).not.toContain('sk-open-to-all');
    const silent = await gatewayProcess({ STORE: 'memory', HOST: '0.0.0.0', LOG_LEVEL: 'silent', ...vendor });
    onDispose(() => silent.kill('SIGKILL'));
    expect(silent.output()).toContain('ANYONE WHO REACHES');
    const local = await gatewayProcess({ STORE: 'memory', ...vendor });
    onDispose(() => local.kill('SIGKILL'));
    expect(local.output()).not.toContain('ANYONE WHO REACHES');
  });
});

describe('a stop', () => {
  afterEach(disposeAll);

  it('[OPS-7] [SEC-4] on SIGTERM drains and exits with 0; the log is JSON without content', async () => {
    const vendor = await startOpenAiServer();
    onDispose(() => vendor.stop());
    const running = await gatewayProcess({
      DATA_DIR: await temporaryDirectory(),
      OPENAI_BASE_URL: vendor.url,
      OPENAI_API_KEY: 'sk-never-logged',
      MODEL: 'm',
      LOG_LEVEL: 'trace',
    });
    onDispose(() => running.kill('SIGKILL'));
    const socket = await connect(running.url);
    const { sessionId, key = '' } = await socket.open();
    await socket.send(sessionId, "a question that is nobody else's business");
    const call = (await vendor.nextCall()).text('an answer likewise');
    const exited = running.kill('SIGTERM');
    await socket.draining.next();
    call.finish();
    await socket.turn('completed');
    expect(await exited).toBe(0);
    for (const line of running.output().trim().split('\n'))
      expect(() => JSON.parse(line) as unknown).not.toThrow();
    for (const secret of ['sk-never-logged', key, 'nobody else', 'an answer likewise']) {
      expect(running.output()).not.toContain(secret);
    }
  });

  it('[SEC-4] tokens of clients and of admins are not logged either', async () => {
    const [JWT_SECRET, ADMIN_TOKEN] = ['a-secret-that-signs-tokens-of-tests', 'the-token-of-an-admin'];
    const running = await gatewayProcess({
      STORE: 'memory',
      AUTH: 'jwt',
      JWT_SECRET,
      ADMIN_TOKEN,
      LOG_LEVEL: 'trace',
    });
    onDispose(() => running.kill('SIGKILL'));
    const token = 'a.broken.token';
    const refused = new TestClient(running.url, { token });
    onDispose(() => refused.close());
    await expect(refused.connected()).rejects.toThrow();
    for (const given of [ADMIN_TOKEN, 'a-wrong-token']) {
      await fetch(`${running.url}/admin/sessions`, { headers: { authorization: `Bearer ${given}` } });
    }
    expect(await running.kill('SIGINT')).toBe(0);
    expect(running.output()).toContain('connection refused');
    for (const secret of [JWT_SECRET, ADMIN_TOKEN, 'a-wrong-token', token]) {
      expect(running.output()).not.toContain(secret);
    }
  });

  it('[OPS-7] exits with 0 also where turns had to be ended, and what waited runs after the next start', async () => {
    const vendor = await startOpenAiServer();
    onDispose(() => vendor.stop());
    const env = {
      DATA_DIR: await temporaryDirectory(),
      OPENAI_BASE_URL: vendor.url,
      MODEL: 'm',
      DRAIN_TIMEOUT: '100ms',
    };
    const first = await gatewayProcess(env);
    onDispose(() => first.kill('SIGKILL'));
    const credentials = newCredentials();
    const { sessionId } = credentials;
    const socket = await connect(first.url);
    await socket.open({ ...credentials, create: true });
    await socket.send(sessionId, 'endless');
    await socket.send(sessionId, 'waiting');
    (await vendor.nextCall()).text('begun');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    const exited = first.kill('SIGTERM');
    expect(await socket.turn('interrupted')).toMatchObject({ reason: 'draining' });
    expect(await exited).toBe(0);

    const second = await gatewayProcess(env);
    onDispose(() => second.kill('SIGKILL'));
    const call = await vendor.nextCall();
    expect(call.messages.slice(1).map(({ content }) => content)).toEqual(['endless', 'begun', 'waiting']);
    call.finish();
  });

  it('[OPS-7] [OPS-9] npm hands signals on', async () => {
    const { PATH = '' } = process.env;
    const npm = spawn('npm', ['run', 'start:prod'], {
      env: { PATH, HOME: await temporaryDirectory(), PORT: '0', STORE: 'memory' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onDispose(async () => npm.kill('SIGKILL'));
    let output = '';
    npm.stdout.on('data', (piece: Buffer) => (output += piece.toString()));
    await until(() => output.includes('Mooring is ready'), 'its start');
    const exited = new Promise((resolve) => npm.once('close', resolve));
    npm.kill('SIGTERM');
    expect(await exited).toBe(0);
    expect(output).toContain('drained');
  });

  it('[OPS-7] a second signal ends it at once', async () => {
    const vendor = await startOpenAiServer();
    onDispose(() => vendor.stop());
    const running = await gatewayProcess({ STORE: 'memory', OPENAI_BASE_URL: vendor.url, MODEL: 'm' });
    onDispose(() => running.kill('SIGKILL'));
    const socket = await connect(running.url);
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'endless');
    (await vendor.nextCall()).text('begun');
    const exited = running.kill('SIGTERM');
    await socket.draining.next();
    void running.kill('SIGTERM');
    expect(await exited).toBe(1);
  });
});
