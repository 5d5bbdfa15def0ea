import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { io } from 'socket.io-client';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { until } from './support/channel.js';
import { TestClient } from './support/client.js';
import { cutAll } from './support/cut.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

describe('clients that others wrote', () => {
  afterEach(disposeAll);

  it('[WEB-3] the plain client of the README prints the whole answer once, though it is cut three times', async () => {
    const running = await gateway();
    const { url, model, get } = running;
    const child = spawn(process.execPath, ['examples/client.mjs', url, 'Count to twelve.'], { cwd: ROOT });
    onDispose(() => Promise.resolve(child.kill()));
    let printed = '';
    child.stdout.on('data', (piece: Buffer) => (printed += piece.toString()));
    const call = (await model.nextCall()).begin();
    expect(call.asked).toBe('Count to twelve.');
    const bindings = get(SessionBindings);
    const words = Array.from({ length: 12 }, (_, index) => `w${index + 1} `);
    const { sessions } = await get(SessionStore).list({ limit: 1 });
    const { sessionId = '' } = sessions[0] ?? {};
    for (const [index, word] of words.entries()) {
      call.text(word);
      if (index % 4 !== 2) continue;
      await until(() => printed.endsWith(word), 'a word to be printed');
      expect(await cutAll(running)).toBe(1);
      await until(() => !bindings.isAttached(sessionId), 'the cut to be noticed');
    }
    call.finish();
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
    expect(printed).toBe(words.join(''));
    expect(model.calls).toHaveLength(1);
  });

  it('[CONN-7] a plain io(url) begins by polling and upgrades; one that only polls is served too', async () => {
    const { url, model } = await gateway();
    model.autoAnswer = (call) => call.answer('ok');
    const plain = io(url, { forceNew: true });
    onDispose(() => Promise.resolve(plain.disconnect()));
    await new Promise((resolve) => plain.io.engine.once('upgrade', resolve));
    expect(plain.io.engine.transport.name).toBe('websocket');
    const polling = new TestClient(url, { transports: ['polling'] });
    onDispose(() => polling.close());
    await polling.connected();
    const { sessionId } = await polling.open();
    await polling.send(sessionId, 'by polling');
    await polling.turn('completed');
    expect(polling.socket.io.engine.transport.name).toBe('polling');
  });

  it('[CONN-7] a transport that is not configured is refused', async () => {
    const { url } = await gateway({ TRANSPORTS: 'websocket' });
    const polling = new TestClient(url, { transports: ['polling'] });
    onDispose(() => polling.close());
    await expect(polling.connected()).rejects.toThrow();
  });

  it('[OPS-9] what a checker needs is there: the commands, and socket.io-client at the root', async () => {
    const { scripts } = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as {
      scripts: Record<string, string>;
    };
    expect(scripts).toMatchObject({
      build: expect.any(String),
      'start:prod': expect.stringContaining('exec node'),
    });
    expect(existsSync(`${ROOT}/dist/main.js`)).toBe(true);
    expect(import.meta.resolve('socket.io-client')).toContain('/node_modules/socket.io-client/');
  });
});
