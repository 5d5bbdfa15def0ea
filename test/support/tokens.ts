import { SignJWT, type JWTPayload } from 'jose';

const JWT_SECRET = 'a secret of at least thirty-two bytes, for tests';

/** Variables of a gateway that takes {@link tokenOf}. */
export const AUTH = { AUTH: 'jwt', JWT_SECRET, JWT_ISSUER: 'tests', JWT_AUDIENCE: 'mooring' };

/** A token of a minute; claims that are given stand in place of its own. */
export function signed(claims: JWTPayload, secret = JWT_SECRET): Promise<string> {
  const exp = Math.floor(Date.now() / 1_000) + 60;
  return new SignJWT({ iss: 'tests', aud: 'mooring', exp, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret));
}

export function tokenOf(sub: string): Promise<string> {
  return signed({ sub });
}
