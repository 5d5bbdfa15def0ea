import { afterEach, describe, expect, it } from '@jest/globals';
import { SignJWT, UnsecuredJWT, type JWTPayload } from 'jose';
import { TestClient } from './support/client.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';

const JWT_SECRET = 'a secret of at least thirty-two bytes, for tests';
const AUTH = { AUTH: 'jwt', JWT_SECRET, JWT_ISSUER: 'tests', JWT_AUDIENCE: 'mooring' };

const now = (): number => Math.floor(Date.now() / 1_000);

function token(claims: JWTPayload, secret = JWT_SECRET): Promise<string> {
  return new SignJWT({ iss: 'tests', aud: 'mooring', exp: now() + 60, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret));
}

describe('AUTH=jwt', () => {
  afterEach(disposeAll);

  it('[CONN-4] [SEC-1] a bad token refuses the connection', async () => {
    const { url } = await gateway(AUTH);
    const bad: [string, string | undefined][] = [
      ['missing', undefined],
      ['garbage', 'no.jwt.here'],
      ['expired', await token({ sub: 'ada', exp: now() - 1 })],
      ['not yet valid', await token({ sub: 'ada', nbf: now() + 60 })],
      ['without sub', await token({})],
      ['of another issuer', await token({ sub: 'ada', iss: 'others' })],
      ['of another audience', await token({ sub: 'ada', aud: 'others' })],
      ['signed by another', await token({ sub: 'ada' }, 'another secret of at least thirty-two bytes')],
      [
        'unsigned',
        new UnsecuredJWT({ sub: 'ada', iss: 'tests', aud: 'mooring' }).setExpirationTime('1h').encode(),
      ],
    ];
    for (const [name, given] of bad) {
      const client = new TestClient(url, { token: given });
      onDispose(() => client.close());
      const refusal = await client.connected().then(
        () => undefined,
        (error: { data?: unknown }) => error.data,
      );
      expect({ name, refusal }).toEqual({ name, refusal: { code: 'unauthorized' } });
    }
  });

  it('[SES-3] [SES-4] [SES-11] the owner is the subject: no key, and nobody else finds or lists the session', async () => {
    const { client, model } = await gateway(AUTH);
    model.autoAnswer = (call) => call.answer('ok');
    const ada = await client({ token: await token({ sub: 'ada' }) });
    const eve = await client({ token: await token({ sub: 'eve' }) });
    const ids: string[] = [];
    for (const text of ['first', 'second', 'third']) {
      const opened = await ada.open();
      expect(opened).not.toHaveProperty('key');
      ids.unshift(opened.sessionId);
      await ada.send(opened.sessionId, `${text} ${'x'.repeat(80)}`);
      await ada.turn('completed');
    }
    const [newest = ''] = ids;
    expect(await eve.refused('session:open', { sessionId: newest })).toBe('session_not_found');
    expect(await eve.refused('session:open', { sessionId: newest, create: true })).toBe('session_not_found');
    expect(await eve.do('session:list', {})).toEqual({ sessions: [] });
    expect(await ada.open({ sessionId: newest })).toMatchObject({ created: false });

    const page = await ada.do('session:list', { limit: 2 });
    expect(page.sessions.map(({ sessionId }) => sessionId)).toEqual(ids.slice(0, 2));
    expect(page.sessions[0]).toEqual({
      sessionId: newest,
      agent: 'alice',
      title: `third ${'x'.repeat(80)}`.slice(0, 60),
      state: 'attached',
      updatedAt: expect.any(String),
    });
    const rest = await ada.do('session:list', { limit: 2, cursor: page.nextCursor });
    expect(rest.sessions.map(({ sessionId }) => sessionId)).toEqual(ids.slice(2));
    expect(rest.nextCursor).toBeUndefined();
    expect(await ada.refused('session:list', { cursor: 'nonsense' })).toBe('invalid_payload');
  });

  it('[CONN-6] at exp the transport is closed, and a client with a fresh token resumes by itself', async () => {
    const { url } = await gateway(AUTH);
    const tokens = [await token({ sub: 'ada', exp: now() + 2 }), await token({ sub: 'ada' })];
    const sessionId = 'a-session-of-ada';
    const socket = new TestClient(url, {
      token: () => tokens.shift(),
      session: () => ({ sessionId, create: true }),
      reconnection: true,
    });
    onDispose(() => socket.close());
    await socket.connected();
    expect(await socket.opened.next()).toMatchObject({ sessionId, created: true });
    expect(await socket.disconnects.next()).toBe('transport close');
    expect(await socket.opened.next()).toMatchObject({ sessionId, created: false });
    expect(tokens).toHaveLength(0);
  });
});

describe('AUTH=anonymous', () => {
  afterEach(disposeAll);

  it('[SES-11] lists nothing', async () => {
    const { client } = await gateway();
    const socket = await client();
    expect(await socket.refused('session:list', {})).toBe('unauthorized');
  });
});
