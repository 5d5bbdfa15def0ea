import { Injectable, Logger } from '@nestjs/common';
import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions } from 'jose';
import { Config, type AuthConfig } from '../config.js';
import type { Principal } from '../sessions/connection.js';

type JwtAuth = Extract<AuthConfig, { mode: 'jwt' }>;
type VerificationKey = Parameters<JWTVerifyGetKey> extends [infer Header, infer Token]
  ? (header: Header, token: Token) => ReturnType<JWTVerifyGetKey>
  : never;

/** An owner's id is compared, stored and indexed. */
const SUBJECT_LENGTH = 256;
/** Public keys only, so that no public key is ever taken for an HMAC secret. */
const ASYMMETRIC = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];
/** A token of a key that is new makes the set be read again, but not more often: anyone can make one up. */
const JWKS_COOLDOWN_MS = 5000;
const JWKS_TIMEOUT_MS = 5000;
