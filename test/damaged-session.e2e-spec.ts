import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, it } from '@jest/globals';
import { newCredentials } from './support/client.js';
import { disposeAll, gateway, temporaryDirectory } from './support/gateway.js';

const headers = { authorization: 'Bearer a-token' };

describe('a session whose stored rows cannot be read', () => {
  afterEach(disposeAll);

  it('[STO-8] is refused, holds nobody up, and can be ended', async () => {
    const env = { STORE: 'sqlite', DATA_DIR: await temporaryDirectory(), ADMIN_TOKEN: 'a-token' };
    const [damaged, healthy] = [newCredentials(), newCredentials()];
    const before = await gateway(env);
    const writer = await before.client();
    for (const credentials of [damaged, healthy]) {
      await writer.open({ ...credentials, create: true });
      await writer.send(credentials.sessionId, 'first');
      await before.model.nextCall();
      await writer.send(credentials.sessionId, 'second');
    }
    await before.stop();
    const file = new DatabaseSync(join(env.DATA_DIR, 'mooring.sqlite'));
    file.prepare("UPDATE sessions SET json = '{' WHERE id = ?").run(damaged.sessionId);
    file.close();

    const { client, model, url } = await gateway(env);
    const socket = await client({ session: () => [damaged, healthy] });
    expect(await socket.failed.next()).toMatchObject({
      sessionId: damaged.sessionId,
      error: { code: 'internal' },
    });
    expect(await socket.opened.next()).toMatchObject({ sessionId: healthy.sessionId });
    (await model.nextCall()).answer('it goes on');
    expect(await socket.turn('completed')).toMatchObject({ state: 'completed' });
    expect(await socket.refused('session:open', damaged)).toBe('internal');
    expect(model.calls).toHaveLength(1);

    const address = `${url}/admin/sessions/${damaged.sessionId}`;
    expect((await fetch(address, { method: 'DELETE', headers })).status).toBe(204);
    expect(await socket.refused('session:open', damaged)).toBe('session_not_found');
  });

  it('[STO-8] gives a snapshot where only its events cannot be read', async () => {
    const env = { STORE: 'sqlite', DATA_DIR: await temporaryDirectory() };
    const session = newCredentials();
    const before = await gateway(env);
    const writer = await before.client();
    const { position } = await writer.open({ ...session, create: true });
    await writer.send(session.sessionId, 'first');
    (await before.model.nextCall()).answer('kept');
    await writer.turn('completed');
    await before.stop();
    const file = new DatabaseSync(join(env.DATA_DIR, 'mooring.sqlite'));
    file.exec("UPDATE segments SET events = '[]'");
    file.close();

    const { client } = await gateway(env);
    const opened = await (await client()).open({ ...session, position });
    expect(opened).toMatchObject({ recovered: false, messages: [{ role: 'user' }, { role: 'assistant' }] });
  });
});
