import { afterEach, describe, expect, it } from '@jest/globals';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { newCredentials, type TestClient } from './support/client.js';
import { disposeAll, gateway, type TestGateway } from './support/gateway.js';
import { AUTH, tokenOf } from './support/tokens.js';

/** Everything of it that a stranger could have changed. */
async function stateOf({ get }: TestGateway, sessionId: string): Promise<unknown> {
  const store = get(SessionStore);
  const { sessions } = await store.list({ limit: 10 });
  return [
    sessions.find((session) => session.sessionId === sessionId),
    await store.messages(sessionId, { limit: 100 }),
    get(SessionBindings).socketsOf(sessionId),
  ];
}

/** What a client is told whatever it asks of a session. */
async function answersOf(client: TestClient, sessionId: string, more: object = {}): Promise<unknown[]> {
  return [
    await client.ask('session:open', { sessionId, ...more }),
    await client.ask('session:leave', { sessionId }),
    await client.ask('session:close', { sessionId }),
    await client.ask('session:history', { sessionId, before: 'm1' }),
    await client.ask('message:send', { sessionId, messageId: 'm1', text: 'Mine?' }),
    await client.ask('turn:cancel', { sessionId }),
    await client.ask('turn:retry', { sessionId, retryId: 'r1' }),
    await client.ask('agent:switch', { sessionId, agent: 'debbie' }),
  ];
}

/** The same over HTTP: status, headers that say anything, body. */
async function httpAnswersOf({ url }: TestGateway, id: string, authorization: string): Promise<unknown[]> {
  const asked: [string, string][] = [
    ['GET', `/api/chat/${id}`],
    ['GET', `/api/chat/${id}?before=m1`],
    ['GET', `/api/chat/${id}/stream`],
    ['DELETE', `/api/chat/${id}/stream`],
  ];
  return Promise.all(
    asked.map(async ([method, path]) => {
      const response = await fetch(url + path, { method, headers: { authorization } });
      return [method, response.status, response.headers.get('content-type'), await response.text()];
    }),
  );
}

describe('a session of somebody else', () => {
  afterEach(disposeAll);

  it('[SEC-8] is answered as one that never was, with AUTH=jwt, and nothing of it changes', async () => {
    const running = await gateway(AUTH);
    const { sessionId } = newCredentials();
    const ada = await running.client({ token: await tokenOf('ada') });
    await ada.open({ sessionId, create: true });
    await ada.send(sessionId, 'Mine.', { messageId: 'm1' });
    const call = (await running.model.nextCall()).begin().text('so far');
    await ada.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    const before = await stateOf(running, sessionId);

    const eve = await running.client({ token: await tokenOf('eve') });
    const unknown = await answersOf(eve, newCredentials().sessionId);
    expect(unknown[0]).toMatchObject({ error: { code: 'session_not_found', retryable: false } });
    expect(new Set(unknown.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await answersOf(eve, sessionId)).toEqual(unknown);
    // Also where she shows the key that no session of a subject has.
    expect(await answersOf(eve, sessionId, { key: newCredentials().key })).toEqual(unknown);

    const bearer = `Bearer ${await tokenOf('eve')}`;
    expect(await httpAnswersOf(running, sessionId, bearer)).toEqual(
      await httpAnswersOf(running, newCredentials().sessionId, bearer),
    );
    expect(await stateOf(running, sessionId)).toEqual(before);
    expect(call.aborted).toBe(false);
    call.finish();
    await ada.turn('completed');
  });

  it('[SEC-8] is answered so to whoever has no key of it, or another one, and after its end', async () => {
    const running = await gateway();
    const [credentials, others] = [newCredentials(), newCredentials()];
    const owner = await running.client();
    await owner.open({ ...credentials, create: true });
    const before = await stateOf(running, credentials.sessionId);

    const stranger = await running.client();
    const unknown = await answersOf(stranger, others.sessionId, { key: others.key });
    expect(unknown[0]).toMatchObject({ error: { code: 'session_not_found' } });
    const { sessionId } = credentials;
    expect(await answersOf(stranger, sessionId, { key: others.key })).toEqual(unknown);
    expect(await answersOf(stranger, sessionId)).toEqual(unknown);
    const http = await httpAnswersOf(running, others.sessionId, `Bearer ${others.key}`);
    expect(await httpAnswersOf(running, sessionId, `Bearer ${others.key}`)).toEqual(http);
    expect(await stateOf(running, sessionId)).toEqual(before);

    await owner.do('session:close', { sessionId });
    const late = await running.client();
    expect(await answersOf(late, sessionId, { key: credentials.key })).toEqual(unknown);
  });
});
