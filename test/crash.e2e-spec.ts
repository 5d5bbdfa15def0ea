import { afterEach, describe, expect, it } from '@jest/globals';
import type { OpenedSession, Position } from '../src/protocol.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient, textOf } from './support/client.js';
import { gatewayProcess } from './support/gateway.process.js';
import { disposeAll, onDispose, temporaryDirectory } from './support/gateway.js';
import { startOpenAiServer } from './support/openai.server.js';
import { assertValidOpenAiMessages } from './support/prompt.validity.js';

const STREAMS = 20;

interface Talk {
  credentials: { sessionId: string; key: string };
  socket: TestClient;
  opened: OpenedSession;
  seen: string;
  position: Position;
}

async function connect(url: string): Promise<TestClient> {
  const socket = new TestClient(url);
  onDispose(() => socket.close());
  await socket.connected();
  return socket;
}

describe('a crash', () => {
  afterEach(disposeAll);

  it('[STO-2 CTX-1 SEC-4] kill -9 amid twenty streams: each client catches up exactly, queued messages run, the next prompts are valid', async () => {
    const vendor = await startOpenAiServer();
    onDispose(() => vendor.stop());
    const env = {
      DATA_DIR: await temporaryDirectory(),
      OPENAI_BASE_URL: vendor.url,
      OPENAI_API_KEY: 'sk-a-secret-that-is-not-stored',
      MODEL: 'some-model',
    };
    const first = await gatewayProcess(env);
    onDispose(() => first.kill('SIGKILL'));

    const talks: Talk[] = [];
    for (let index = 0; index < STREAMS; index += 1) {
      const credentials = newCredentials();
      const socket = await connect(first.url);
      const opened = await socket.open({ ...credentials, create: true });
      await socket.send(credentials.sessionId, `question ${index}`);
      await socket.send(credentials.sessionId, `and then ${index}`);
      talks.push({ credentials, socket, opened, seen: '', position: opened.position });
    }
    for (let index = 0; index < STREAMS; index += 1) {
      const call = await vendor.nextCall();
      for (let token = 0; token < 30; token += 1) call.text(`t${token} `);
    }
    // Each client has seen something of its answer, some more, some less.
    for (const talk of talks) {
      await talk.socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    }
    await first.kill('SIGKILL');
    for (const talk of talks) {
      talk.seen = textOf(talk.socket.events);
      talk.position = talk.socket.position(talk.opened);
    }

    const second = await gatewayProcess(env);
    onDispose(() => second.kill('SIGKILL'));
    for (let index = 0; index < STREAMS; index += 1) {
      const call = await vendor.nextCall();
      expect(call.asked).toMatch(/^and then/);
      assertValidOpenAiMessages(call.messages);
      expect(call.messages).toHaveLength(4);
      call.text('after the crash').finish();
    }
    const whole = Array.from({ length: 30 }, (_, token) => `t${token} `).join('');
    for (const talk of talks) {
      const { credentials, position, seen } = talk;
      const socket = await connect(second.url);
      const opened = await socket.open({ ...credentials, position });
      expect(opened.recovered).toBe(true);
      expect(opened.position.epoch).toBe(position.epoch);
      await until(async () => (await socket.open(credentials)).turns.length === 0);
      const { messages } = await socket.do('session:history', { sessionId: credentials.sessionId });
      expect(messages.map(({ role, metadata }) => `${role} ${metadata?.status ?? ''}`.trim())).toEqual([
        'user',
        'assistant interrupted',
        'user',
        'assistant completed',
      ]);
      const stored = messages[1]?.parts.map((part) => (part.type === 'text' ? part.text : '')).join('') ?? '';
      const { turnId = '' } = messages[1]?.metadata ?? {};
      const replayed = textOf([...opened.events, ...socket.events], turnId);
      expect(seen.length).toBeGreaterThan(0);
      expect(seen + replayed).toBe(stored);
      expect(whole.startsWith(stored)).toBe(true);
    }
    expect(second.output()).not.toContain('sk-a-secret');
  });
});
