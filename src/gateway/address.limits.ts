import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import { Config } from '../config.js';
import { LIMITS } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';
import { clientAddress, isOriginAllowed } from './origin.policy.js';
import { TokenBucket } from './token.bucket.js';

/** Addresses whose request rates are remembered; past that the one that asked least lately starts anew. */
const REMEMBERED = 10_000;

/** What one address may have open and may ask, and from which pages. */
@Injectable()
export class AddressLimits {
  readonly #open = new Map<string, number>();
  readonly #rates = new Map<string, TokenBucket>();

  constructor(private readonly config: Config) {}

  /** Why a connection is refused; undefined: it is not. */
  refusal(request: IncomingMessage): 'origin not allowed' | 'too many connections' | undefined {
    const { origin, host } = request.headers;
    const allowlist = this.config.corsOrigins && [...this.config.corsOrigins];
    if (!isOriginAllowed({ origin, host, allowlist })) return 'origin not allowed';
    const open = this.#open.get(this.#addressOf(request)) ?? 0;
    return open >= this.config.maxSocketsPerIp ? 'too many connections' : undefined;
  }

  /** Counts an open connection. @returns counts it out again */
  count(request: IncomingMessage): () => void {
    // Of a closed socket the address is not known any more.
    const address = this.#addressOf(request);
    this.#open.set(address, (this.#open.get(address) ?? 0) + 1);
    return () => {
      const left = (this.#open.get(address) ?? 1) - 1;
      if (left > 0) this.#open.set(address, left);
      else this.#open.delete(address);
    };
  }

  /** Counts a request that comes without a socket of its own. @throws RequestError `rate_limited` */
  take(request: IncomingMessage): void {
    const address = this.#addressOf(request);
    const bucket = this.#rates.get(address) ?? new TokenBucket(LIMITS.requestBurst, LIMITS.requestsPerMinute);
    // Last in the order of the map: the first is the one that asked least lately.
    this.#rates.delete(address);
    this.#rates.set(address, bucket);
    const [oldest] = this.#rates.keys();
    if (this.#rates.size > REMEMBERED && oldest !== undefined) this.#rates.delete(oldest);
    takeToken(bucket);
  }

  #addressOf(request: IncomingMessage): string {
    return clientAddress(request, this.config.trustProxy);
  }
}

/** @throws RequestError `rate_limited`, with the time until there is a token */
export function takeToken(bucket: TokenBucket): void {
  const taken = bucket.take();
  if (taken.ok) return;
  const { retryAfterMs } = taken;
  throw new RequestError('rate_limited', `Too many requests: wait ${retryAfterMs} ms.`, { retryAfterMs });
}
