import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { LIMITS } from '../src/protocol.js';
import { until } from './support/channel.js';
import { newCredentials, type TestClient } from './support/client.js';
import { disposeAll, gateway, type TestGateway } from './support/gateway.js';
import { AUTH, tokenOf } from './support/tokens.js';

async function visitor({ client }: TestGateway, sub: string): Promise<TestClient> {
  return client({ token: await tokenOf(sub) });
}

describe('what one owner may have', () => {
  afterEach(disposeAll);

  it('[LIM-11] sessions, on whichever socket and however they are made', async () => {
    const running = await gateway({ ...AUTH, MAX_SESSIONS_PER_OWNER: '2' });
    const one = await visitor(running, 'ada');
    const other = await visitor(running, 'ada');
    const { sessionId } = await one.open();
    await other.open();
    const refusal = { error: { code: 'too_many_sessions', retryable: true } };
    expect(await one.ask('session:open', {})).toMatchObject(refusal);
    expect(await other.ask('session:open', { ...newCredentials(), create: true })).toMatchObject(refusal);
    const named = await running.client({
      token: await tokenOf('ada'),
      session: () => ({ sessionId: newCredentials().sessionId, create: true }),
    });
    expect(await named.failed.next()).toMatchObject(refusal);
    const http = await fetch(`${running.url}/api/chat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await tokenOf('ada')}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        id: newCredentials().sessionId,
        messages: [{ id: 'm1', role: 'user', parts: [{ type: 'text', text: 'Hi' }] }],
      }),
    });
    expect([http.status, await http.json()]).toMatchObject([429, refusal]);
    expect(await other.open({ sessionId, create: true })).toMatchObject({ created: false });
    expect(await (await visitor(running, 'bob')).open()).toMatchObject({ created: true });
    await one.do('session:close', { sessionId });
    expect(await one.open()).toMatchObject({ created: true });
  });

  it('[LIM-12] turns at once: more wait, and take nobody else’s place', async () => {
    const running = await gateway({ ...AUTH, MAX_TURNS_PER_OWNER: '1', MAX_TURNS: '2' });
    const ada = await visitor(running, 'ada');
    const sessions = [await ada.open(), await ada.open(), await ada.open()];
    for (const { sessionId } of sessions) await ada.send(sessionId, `of ada in ${sessionId}`);
    const first = await running.model.nextCall();
    const bob = await visitor(running, 'bob');
    await bob.send((await bob.open()).sessionId, 'of bob');
    const ofBob = await running.model.nextCall();
    expect(ofBob.asked).toBe('of bob');
    ofBob.answer('Hi, Bob.');
    await bob.turn('completed');
    for (let turns = 0; turns < 20; turns += 1) await setImmediate();
    expect(running.model.calls).toHaveLength(2);
    first.answer('one');
    const second = await running.model.nextCall();
    second.answer('two');
    (await running.model.nextCall()).answer('three');
    for (let turns = 0; turns < 3; turns += 1) await ada.turn('completed');
    expect(new Set(running.model.calls.map(({ asked }) => asked)).size).toBe(4);
  });

  it('[LIM-13] tokens of a day, also across a restart', async () => {
    const running = await gateway({ ...AUTH, STORE: 'sqlite', MAX_TOKENS_PER_DAY: '20' });
    running.model.autoAnswer = (call) => call.answer('Yes.');
    const ada = await visitor(running, 'ada');
    const { sessionId } = await ada.open();
    for (const text of ['one', 'two']) {
      await ada.send(sessionId, text);
      await ada.turn('completed');
    }
    const refused = await ada.ask('message:send', { sessionId, messageId: 'three', text: 'three' });
    expect(refused).toMatchObject({ error: { code: 'rate_limited', retryable: true } });
    const { retryAfterMs = 0 } = refused.ok ? {} : refused.error;
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(retryAfterMs).toBeLessThanOrEqual(24 * 3_600_000);
    expect(await ada.ask('turn:retry', { sessionId, retryId: 'again' })).toMatchObject({
      error: { code: 'rate_limited' },
    });
    await running.restartGateway();
    const later = await visitor(running, 'ada');
    await later.open({ sessionId });
    expect(await later.ask('message:send', { sessionId, messageId: 'three', text: 'three' })).toMatchObject({
      error: { code: 'rate_limited' },
    });
    const bob = await visitor(running, 'bob');
    await bob.send((await bob.open()).sessionId, 'of bob');
    await bob.turn('completed');
  });

  it('[LIM-14] requests, over all sockets', async () => {
    const running = await gateway(AUTH);
    const sockets = await Promise.all(Array.from({ length: 12 }, () => visitor(running, 'ada')));
    const answers = await Promise.all(
      sockets.flatMap((socket) =>
        Array.from({ length: LIMITS.requestBurst - 1 }, () => socket.ask('agent:list', {})),
      ),
    );
    const refused = answers.filter(({ ok }) => !ok);
    expect(answers.length).toBeGreaterThan(LIMITS.ownerRequestBurst);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThanOrEqual(answers.length - LIMITS.ownerRequestBurst);
    expect(refused[0]).toMatchObject({ error: { code: 'rate_limited', retryable: true } });
    const bob = await visitor(running, 'bob');
    expect(await bob.ask('agent:list', {})).toMatchObject({ ok: true });
  });

  it('[LIM-15] an address that connects too often is refused', async () => {
    const running = await gateway({ MAX_SOCKETS_PER_IP: '2' });
    let refusals = 0;
    for (let count = 0; count < 20; count += 1) {
      const client = await running.client().catch(() => undefined);
      if (client) await client.close();
      else refusals += 1;
    }
    expect(refusals).toBeGreaterThan(0);
    await until(
      () =>
        running.client().then(
          () => true,
          () => false,
        ),
      'a connection after a pause',
    );
  });
});
