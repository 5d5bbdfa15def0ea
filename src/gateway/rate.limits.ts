import { Injectable } from '@nestjs/common';
import { LIMITS } from '../protocol.js';
import type { Principal } from '../sessions/connection.js';
import { RequestError } from '../sessions/request.error.js';
import { TokenBucket } from './token.bucket.js';

/** Whose rates are remembered; past that, whoever asked least lately starts anew. */
const REMEMBERED = 10_000;

/** What was refused since it was asked too often, by whose rate that was. */
export const rateLimited = { socket: 0, owner: 0, address: 0 };

/** @throws RequestError `rate_limited`, with the time until there is a token */
export function takeToken(bucket: TokenBucket, of: keyof typeof rateLimited = 'socket'): void {
  const taken = bucket.take();
  if (taken.ok) return;
  rateLimited[of] += 1;
  const { retryAfterMs } = taken;
  throw new RequestError('rate_limited', `Too many requests: wait ${retryAfterMs} ms.`, { retryAfterMs });
}

/** A bucket for each key. */
export class KeyedBuckets {
  readonly #buckets = new Map<string, TokenBucket>();

  /** @param perMinute how many tokens flow back in a minute */
  constructor(
    private readonly capacity: number,
    private readonly perMinute: number,
  ) {}

  of(key: string): TokenBucket {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.capacity, this.perMinute);
    // Last in the order of the map: the first is the one that asked least lately.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > REMEMBERED && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}

/** What a token's subject may ask, over all of its sockets. */
@Injectable()
export class OwnerLimits {
  readonly #rates = new KeyedBuckets(LIMITS.ownerRequestBurst, LIMITS.ownerRequestsPerMinute);

  /** @throws RequestError `rate_limited` */
  take(principal: Principal): void {
    if (principal.kind === 'subject') takeToken(this.#rates.of(principal.sub), 'owner');
  }
}
