import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  base64url,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  SignJWT,
  type CryptoKey,
  type GenerateKeyPairResult,
  type JWTPayload,
} from 'jose';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loadConfig } from '../config.js';
import { Authenticator, KeysUnavailableError, UnauthorizedError } from './authenticator.js';

const SECRET = 'a secret that is longer than 32 bytes';
const SECRET_BYTES = new TextEncoder().encode(SECRET);
const now = Math.floor(Date.now() / 1000);

function authenticator(env: NodeJS.ProcessEnv): Authenticator {
  return new Authenticator(loadConfig({ AUTH: 'jwt', ...env }));
}

function sign(claims: JWTPayload, alg = 'HS256', key: Uint8Array | CryptoKey = SECRET_BYTES, kid?: string) {
  return new SignJWT(claims).setProtectedHeader({ alg, kid }).sign(key);
}

async function reasonOf(result: Promise<unknown>): Promise<string> {
  const error: unknown = await result.then(() => undefined, (reason: unknown) => reason); // prettier-ignore
  expect(error).toBeInstanceOf(UnauthorizedError);
  return (error as Error).message;
}

afterEach(() => {
  jest.restoreAllMocks();
});

Logger.overrideLogger(false);

describe('AUTH=anonymous', () => {
  it('ignores tokens', async () => {
    const anonymous = authenticator({ AUTH: 'anonymous' });
    for (const token of [undefined, 'x', 7])
      expect(await anonymous.authenticate(token)).toEqual({ kind: 'anonymous' });
  });
});

describe('AUTH=jwt with a secret', () => {
  const plain = authenticator({ JWT_SECRET: SECRET });
  const strict = authenticator({ JWT_SECRET: SECRET, JWT_ISSUER: 'us', JWT_AUDIENCE: 'chat' });

  it('tells the subject and when the token ends', async () => {
    expect(await plain.authenticate(await sign({ sub: 'ann' }))).toEqual({ kind: 'subject', sub: 'ann' });
    expect(await plain.authenticate(await sign({ sub: 'ann', exp: now + 60, nbf: now - 1 }))).toEqual({
      kind: 'subject',
      sub: 'ann',
      expiresAt: (now + 60) * 1000,
    });
    const claims = { sub: 'ann', iss: 'us', aud: ['mail', 'chat'] };
    expect(await strict.authenticate(await sign(claims))).toEqual({ kind: 'subject', sub: 'ann' });
  });

  it.each<[string, unknown]>([
    ['no token', undefined],
    ['an empty one', ''],
    ['a number', 7],
    ['an object', { token: 'x' }],
  ])('refuses %s', async (_name, token) => {
    expect(await reasonOf(plain.authenticate(token))).toBe('there is no token');
  });

  it.each<[string, JWTPayload, RegExp]>([
    ['expired', { sub: 'ann', exp: now - 1 }, /"exp"/],
    ['expired in this very second', { sub: 'ann', exp: now }, /"exp"/],
    ['not yet valid', { sub: 'ann', nbf: now + 60 }, /"nbf"/],
    ['with an exp that is text', { sub: 'ann', exp: 'never' as unknown as number }, /"exp"/],
    ['without sub', {}, /"sub"/],
    ['with an empty sub', { sub: '' }, /"sub"/],
    ['with a sub that is a number', { sub: 7 as unknown as string }, /"sub"/],
    ['with a long sub', { sub: 'x'.repeat(257) }, /"sub"/],
    ['with NUL in sub', { sub: 'a\0' }, /"sub"/],
  ])('refuses a token %s', async (_name, claims, reason) => {
    expect(await reasonOf(plain.authenticate(await sign(claims)))).toMatch(reason);
  });

  it('refuses another issuer or audience, or none', async () => {
    const claims = { sub: 'ann', iss: 'us', aud: 'chat' };
    for (const change of [{ iss: 'them' }, { iss: undefined }])
      expect(await reasonOf(strict.authenticate(await sign({ ...claims, ...change })))).toContain('"iss"');
    for (const change of [{ aud: 'mail' }, { aud: undefined }])
      expect(await reasonOf(strict.authenticate(await sign({ ...claims, ...change })))).toContain('"aud"');
  });

  it('[SEC-1] refuses another signature, another algorithm and none, and never says the token', async () => {
    const encode = (value: unknown): string => base64url.encode(JSON.stringify(value));
    const tokens = [
      await sign({ sub: 'ann' }, 'HS256', new TextEncoder().encode('another secret of 32 bytes or more')),
      await sign({ sub: 'ann' }, 'HS512', new TextEncoder().encode(SECRET.repeat(2))),
      await sign({ sub: 'ann' }, 'ES256', (await generateKeyPair('ES256')).privateKey),
      `${encode({ alg: 'none' })}.${encode({ sub: 'ann' })}.`,
      `${encode({ alg: 'None' })}.${encode({ sub: 'ann' })}.`,
      `${encode({ alg: 'HS256' })}.${encode({ sub: 'ann' })}.`,
      'not a token',
      'a.b.c',
      '..',
    ];
    for (const token of tokens) expect(await reasonOf(plain.authenticate(token))).not.toContain(token);
  });
});

describe('AUTH=jwt with a key set', () => {
  let server: Server;
  let url: string;
  let keys: object[];
  let reads: number;
  let status: number;

  const pair = (alg: string): Promise<GenerateKeyPairResult> => generateKeyPair(alg, { extractable: true });
  const publish = async (key: CryptoKey, kid?: string): Promise<object> => ({
    ...(await exportJWK(key)),
    kid,
  });

  beforeEach(async () => {
    [keys, reads, status] = [[], 0, 200];
    server = createServer((_request, response) => {
      reads += 1;
      response.writeHead(status).end(JSON.stringify({ keys }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  });

  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it.each(['RS256', 'PS256', 'ES256', 'EdDSA'])('accepts %s, reading the set once', async (alg) => {
    const { publicKey, privateKey } = await pair(alg);
    keys = [await publish(publicKey, 'one')];
    const remote = authenticator({ JWKS_URL: url });
    const token = await sign({ sub: 'ann' }, alg, privateKey, 'one');
    for (let i = 0; i < 3; i += 1)
      expect(await remote.authenticate(token)).toEqual({ kind: 'subject', sub: 'ann' });
    expect(reads).toBe(1);
  });

  it('[SEC-7] takes up a new key at once, and forgets one that was withdrawn', async () => {
    const [old, fresh] = [await pair('ES256'), await pair('ES256')];
    keys = [await publish(old.publicKey, 'old')];
    const remote = authenticator({ JWKS_URL: url });
    const by = (key: GenerateKeyPairResult, kid: string) =>
      sign({ sub: 'ann' }, 'ES256', key.privateKey, kid).then((token) => remote.authenticate(token));
    await by(old, 'old');
    keys = [await publish(fresh.publicKey, 'fresh')];
    expect(await by(fresh, 'fresh')).toEqual({ kind: 'subject', sub: 'ann' });
    expect(await reasonOf(by(old, 'old'))).toMatch(/no applicable key/);
    // The last one's key is looked for anew, too.
    expect(reads).toBe(3);
  });

  it('[SEC-7] is not made to read the set at will, and whoever waits shares the next reading', async () => {
    const [known, fresh] = [await pair('ES256'), await pair('ES256')];
    keys = [await publish(known.publicKey, 'known')];
    const remote = authenticator({ JWKS_URL: url });
    const by = (kid: string, key = known) =>
      sign({ sub: 'ann' }, 'ES256', key.privateKey, kid).then((token) => remote.authenticate(token));
    await by('known');
    keys.push(await publish(fresh.publicKey, 'fresh'));
    const made = Array.from({ length: 100 }, (_, index) => reasonOf(by(`made-up-${index}`)));
    const good = [by('fresh', fresh), by('known')];
    expect(await Promise.all(good)).toEqual(good.map(() => ({ kind: 'subject', sub: 'ann' })));
    expect(new Set(await Promise.all(made))).toEqual(new Set([expect.stringMatching(/no applicable key/)]));
    expect(reads).toBe(2);
  });

  it('[SEC-7] does not press a key server that fails', async () => {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const { publicKey, privateKey } = await pair('ES256');
    keys = [await publish(publicKey, 'one')];
    status = 503;
    const remote = authenticator({ JWKS_URL: url });
    const token = await sign({ sub: 'ann' }, 'ES256', privateKey, 'one');
    await expect(remote.authenticate(token)).rejects.toThrow(KeysUnavailableError);
    status = 200;
    const answers = Array.from({ length: 100 }, () => remote.authenticate(token));
    expect((await Promise.all(answers)).every(({ kind }) => kind === 'subject')).toBe(true);
    expect(reads).toBe(2);
  });

  it('tries every key where a token names none', async () => {
    const [one, two, three] = [await pair('RS256'), await pair('RS256'), await pair('RS256')];
    keys = [await publish(one.publicKey), await publish(two.publicKey)];
    const remote = authenticator({ JWKS_URL: url });
    const by = (key: GenerateKeyPairResult, claims = {}) =>
      sign({ sub: 'ann', ...claims }, 'RS256', key.privateKey);
    expect(await remote.authenticate(await by(two))).toEqual({ kind: 'subject', sub: 'ann' });
    expect(await reasonOf(remote.authenticate(await by(three)))).toMatch(/signature/);
    expect(await reasonOf(remote.authenticate(await by(two, { exp: now - 1 })))).toMatch(/"exp"/);
  });

  it('[SEC-1] never takes a public key for a secret', async () => {
    const { publicKey } = await pair('RS256');
    keys = [await publish(publicKey, 'one'), { kty: 'oct', k: base64url.encode(SECRET), kid: 'two' }];
    const remote = authenticator({ JWKS_URL: url });
    const pem = new TextEncoder().encode(await exportSPKI(publicKey));
    for (const [key, kid] of [
      [pem, 'one'],
      [SECRET_BYTES, 'two'],
    ] as const)
      // prettier-ignore
      expect(await reasonOf(remote.authenticate(await sign({ sub: 'ann' }, 'HS256', key, kid)))).toMatch(/"alg"/);
  });

  it('[SEC-5] tells a key server that is down from a bad token, and recovers', async () => {
    const error = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const { publicKey, privateKey } = await pair('ES256');
    keys = [await publish(publicKey, 'one')];
    const remote = authenticator({ JWKS_URL: url });
    const token = await sign({ sub: 'ann' }, 'ES256', privateKey, 'one');
    status = 503;
    await expect(remote.authenticate(token)).rejects.toThrow(KeysUnavailableError);
    expect(error).toHaveBeenCalledWith(expect.stringMatching(/^the key set cannot be read: Expected 200 OK/));
    status = 200;
    expect(await remote.authenticate(token)).toEqual({ kind: 'subject', sub: 'ann' });
    const nowhere = authenticator({ JWKS_URL: 'http://127.0.0.1:1/jwks.json' });
    await expect(nowhere.authenticate(token)).rejects.toThrow(KeysUnavailableError);
  });
});
