import { afterEach, describe, expect, it } from '@jest/globals';
import type { TurnEvent } from '../src/protocol.js';
import { until } from './support/channel.js';
import { newCredentials, textOf } from './support/client.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';
import { startOpenAiServer } from './support/openai.server.js';
import { assertValidOpenAiMessages } from './support/prompt.validity.js';

async function withVendor(env: Record<string, string> = {}) {
  const vendor = await startOpenAiServer();
  onDispose(() => vendor.stop());
  const running = await gateway({
    OPENAI_BASE_URL: vendor.url,
    OPENAI_API_KEY: 'sk-secret-key',
    MODEL: 'm',
    ...env,
  });
  const socket = await running.client();
  const { sessionId } = await socket.open();
  return { ...running, vendor, socket, sessionId };
}

describe('a model vendor over HTTP', () => {
  afterEach(disposeAll);

  it('[MOD-1] streams, and the next prompt holds what was said', async () => {
    const { vendor, socket, sessionId } = await withVendor();
    await socket.send(sessionId, 'one');
    (await vendor.nextCall()).text('Hel').text('lo').finish();
    expect(await socket.turn('completed')).toMatchObject({
      usage: { inputTokens: 7, outputTokens: 3, estimated: false },
    });
    await socket.send(sessionId, 'two');
    const call = await vendor.nextCall();
    assertValidOpenAiMessages(call.messages);
    expect(call.messages.slice(1)).toMatchObject([
      { role: 'user' },
      { role: 'assistant', content: 'Hello' },
      { role: 'user' },
    ]);
    call.finish();
    await socket.turn('completed');
  });

  it('[MOD-4 CTX-2] a stream that is cut keeps its text and fails as provider_error', async () => {
    const { vendor, socket, sessionId } = await withVendor();
    await socket.send(sessionId, 'one');
    const call = await vendor.nextCall();
    call.text('partial');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    call.cut();
    expect(await socket.turn('failed')).toMatchObject({
      error: { code: 'provider_error' },
      usage: { estimated: true },
    });
    const { messages } = await socket.do('session:history', { sessionId });
    expect(messages[1]).toMatchObject({ metadata: { status: 'failed' } });
    expect(textOf(socket.events)).toBe('partial');
  });

  it.each([
    [401, 'provider_unauthorized', false, 1],
    [429, 'provider_rate_limited', true, 3],
    [500, 'provider_error', true, 3],
    [400, 'provider_error', false, 1],
  ])(
    '[MOD-2 MOD-5 SEC-4 TURN-14] status %i ends in %s, after its attempts',
    async (status, code, retryable, attempts) => {
      const { vendor, socket, sessionId } = await withVendor();
      const { turnId } = await socket.send(sessionId, 'one');
      for (let attempt = 0; attempt < attempts; attempt += 1) (await vendor.nextCall()).refuse(status);
      const failed: TurnEvent = await socket.turn('failed', turnId);
      expect(failed.error).toMatchObject({ code, retryable });
      expect(JSON.stringify(failed)).not.toContain('sk-secret-key');
      expect(failed.usage).toBeUndefined();
      expect(vendor.calls).toHaveLength(attempts);
    },
  );

  it('[MOD-2] a refusal that passes is not noticed by the user', async () => {
    const { vendor, socket, sessionId } = await withVendor();
    await socket.send(sessionId, 'one');
    (await vendor.nextCall()).refuse(503, { 'retry-after': '0' });
    (await vendor.nextCall()).text('here').finish();
    await socket.turn('completed');
    expect(textOf(socket.events)).toBe('here');
  });

  it('[MOD-3] a vendor that hangs before or amid its answer ends the turn as provider_timeout, and is let go', async () => {
    const { vendor, socket, sessionId } = await withVendor({
      MODEL_FIRST_BYTE_TIMEOUT: '60ms',
      MODEL_IDLE_TIMEOUT: '60ms',
    });
    await socket.send(sessionId, 'silent');
    const silent = await vendor.nextCall();
    expect(await socket.turn('failed')).toMatchObject({
      error: { code: 'provider_timeout', retryable: true },
    });
    await until(() => silent.closed, 'the request to be aborted');
    await socket.send(sessionId, 'halting');
    const halting = (await vendor.nextCall()).text('so');
    expect(await socket.turn('failed')).toMatchObject({ error: { code: 'provider_timeout' } });
    await until(() => halting.closed, 'the request to be aborted');
    expect(vendor.calls).toHaveLength(2);
  });

  it("[TURN-2] turn:cancel closes the vendor's request", async () => {
    const { vendor, socket, sessionId } = await withVendor();
    await socket.send(sessionId, 'one');
    const call = (await vendor.nextCall()).text('abc');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    await socket.do('turn:cancel', { sessionId });
    await until(() => call.closed, 'the request to be aborted');
    await socket.turn('cancelled');
  });
});

describe('limits of a turn', () => {
  afterEach(disposeAll);

  it('[TURN-9] past its time a turn fails as turn_timeout, its text kept', async () => {
    const { client, model } = await gateway({ TURN_TIMEOUT: '100ms' });
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'long');
    const call = await model.nextCall();
    call.begin().text('begun');
    expect(await socket.turn('failed')).toMatchObject({ error: { code: 'turn_timeout', retryable: true } });
    expect(call.aborted).toBe(true);
    expect(textOf(socket.events)).toBe('begun');
  });

  it('[TURN-8] detached past the limit, a turn ends whatever the policy', async () => {
    const { client, model } = await gateway({ DETACHED_TURN_LIMIT: '60ms' });
    const credentials = newCredentials();
    const socket = await client();
    await socket.open({ ...credentials, create: true });
    await socket.send(credentials.sessionId, 'long');
    const call = await model.nextCall();
    call.begin().text('begun');
    socket.vanish();
    await until(() => call.aborted, 'the turn to end');
    const back = await client();
    await until(async () => (await back.open(credentials)).turns.length === 0);
    const { messages } = await back.do('session:history', { sessionId: credentials.sessionId });
    expect(messages[1]?.metadata?.status).toBe('interrupted');
  });

  it('[TURN-7] who comes back within the grace time finds the turn running', async () => {
    const { client, model } = await gateway({ DETACH_POLICY: 'interrupt', DETACH_GRACE: '10s' });
    const credentials = newCredentials();
    const socket = await client();
    await socket.open({ ...credentials, create: true });
    await socket.send(credentials.sessionId, 'long');
    const call = await model.nextCall();
    socket.vanish();
    const back = await client();
    expect((await back.open(credentials)).turns).toMatchObject([{ state: 'running' }]);
    call.answer('done');
    await back.turn('completed');
  });

  it('[TURN-10 TURN-3] past the turns of a node, more wait', async () => {
    const { client, model } = await gateway({ MAX_TURNS: '1' });
    const socket = await client();
    const [one, two] = [await socket.open(), await socket.open()];
    await socket.send(one.sessionId, 'one');
    const first = await model.nextCall();
    const waiting = await socket.send(two.sessionId, 'two');
    expect(model.calls).toHaveLength(1);
    expect(await socket.refused('turn:cancel', { sessionId: two.sessionId })).toBe('turn_not_found');
    const { turnId } = waiting;
    expect(await socket.do('turn:cancel', { sessionId: two.sessionId, turnId })).toEqual({
      turnId,
      cancelled: true,
    });
    await socket.send(two.sessionId, 'three');
    first.answer('1');
    const second = await model.nextCall();
    expect(second.asked).toBe('three');
    second.answer('3');
    await socket.until(({ type }) => type === 'turn');
  });

  it('[CTX-3] a message that alone exceeds the budget fails as context_overflow', async () => {
    const { client, model } = await gateway({ CONTEXT_TOKENS: '1000' });
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'x'.repeat(20_000));
    expect(await socket.turn('failed')).toMatchObject({ error: { code: 'context_overflow' } });
    expect(model.calls).toHaveLength(0);
  });
});
