import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { WebSocket } from 'ws';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { until } from './support/channel.js';
import { newCredentials } from './support/client.js';
import { disposeAll, gateway, onDispose, type TestGateway } from './support/gateway.js';
import { AUTH, signed } from './support/tokens.js';

const SHORT_S = 2;

const tokenFor = (seconds: number): Promise<string> =>
  signed({ sub: 'ada', exp: Math.floor(Date.now() / 1_000) + seconds });

function ask({ url }: TestGateway, sessionId: string, token: string): Promise<Response> {
  return fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      id: sessionId,
      messages: [{ id: 'm1', role: 'user', parts: [{ type: 'text', text: 'Tell me' }] }],
    }),
  });
}

/** All that a body says until it ends, and whether it was cut. */
async function readAll(response: Response): Promise<{ text: string; cut: boolean }> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>)
      text += decoder.decode(piece, { stream: true });
    return { text, cut: false };
  } catch {
    return { text, cut: true };
  }
}

describe('the end of a token', () => {
  afterEach(disposeAll);

  it('[SEC-9] cuts a stream over HTTP; the turn goes on, and a fresh token tells it from its start', async () => {
    const running = await gateway(AUTH);
    const { sessionId } = newCredentials();
    const reading = ask(running, sessionId, await tokenFor(SHORT_S)).then(readAll);
    const call = (await running.model.nextCall()).begin().text('before');
    const { text, cut } = await reading;
    expect({ cut, told: text.includes('before') }).toEqual({ cut: true, told: true });
    await until(() => !running.get(SessionBindings).isAttached(sessionId), 'the stream to be unbound');
    expect(call.aborted).toBe(false);

    const resumed = await fetch(`${running.url}/api/chat/${sessionId}/stream`, {
      headers: { authorization: `Bearer ${await tokenFor(60)}` },
    });
    call.text(', after').finish();
    const again = await readAll(resumed);
    expect(again.cut).toBe(false);
    for (const piece of ['before', 'after', '[DONE]']) expect(again.text).toContain(piece);
  });

  it('[SEC-9] closes a plain WebSocket that streams', async () => {
    const running = await gateway(AUTH);
    const { sessionId } = newCredentials();
    const socket = new WebSocket(`${running.url.replace('http', 'ws')}/api/chat`, {
      headers: { authorization: `Bearer ${await tokenFor(SHORT_S)}` },
    });
    onDispose(async () => socket.terminate());
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const messages = [{ id: 'm1', role: 'user', parts: [{ type: 'text', text: 'Tell me' }] }];
    socket.send(JSON.stringify({ type: 'send', requestId: 'r1', id: sessionId, messages }));
    const call = (await running.model.nextCall()).begin().text('before');
    await closed;
    await until(() => !running.get(SessionBindings).isAttached(sessionId), 'the socket to be unbound');
    expect(call.aborted).toBe(false);
  });

  it('[SEC-9] leaves a stream alone that ends before', async () => {
    const running = await gateway(AUTH);
    const reading = ask(running, newCredentials().sessionId, await tokenFor(60)).then(readAll);
    (await running.model.nextCall()).answer('all of it');
    expect(await reading).toMatchObject({ cut: false, text: expect.stringContaining('[DONE]') });
  });

  it('[CONN-8] is noticed at a request, as after a machine has slept, and nothing of that is done', async () => {
    const running = await gateway(AUTH);
    const ada = await running.client({ token: await tokenFor(60) });
    const { sessionId } = await ada.open();
    const asked = ada.ask('message:send', { sessionId, messageId: 'late', text: 'late' });
    // The monotonic clocks stood still meanwhile. Not before: the client would notice as well.
    const now = Date.now.bind(Date);
    const asleep = jest.spyOn(Date, 'now').mockImplementation(() => now() + 61_000);
    onDispose(async () => asleep.mockRestore());
    expect(await asked).toMatchObject({
      error: { code: 'unauthorized', retryable: false },
    });
    expect(await ada.disconnects.next()).toBe('transport close');
    expect(running.model.calls).toHaveLength(0);
  });
});
