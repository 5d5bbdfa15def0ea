import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import { Config } from '../config.js';
import { LIMITS } from '../protocol.js';
import { clientAddress, isOriginAllowed } from './origin.policy.js';
import { KeyedBuckets, takeToken } from './rate.limits.js';

/**
 * How often an address may connect: all of its sockets twice at once, and each of them every three seconds. Whole
 * offices come back at the same moment; what comes faster than that does not wait between its attempts.
 */
const CONNECTS_AT_ONCE = 2;
const CONNECTS_PER_MINUTE = 20;

/** What one address may have open and may ask, and from which pages. */
@Injectable()
export class AddressLimits {
  readonly #open = new Map<string, number>();
  readonly #requests = new KeyedBuckets(LIMITS.requestBurst, LIMITS.requestsPerMinute);
  readonly #connects: KeyedBuckets;

  constructor(private readonly config: Config) {
    const { maxSocketsPerIp: sockets } = config;
    this.#connects = new KeyedBuckets(CONNECTS_AT_ONCE * sockets, CONNECTS_PER_MINUTE * sockets);
  }

  /** Why a request is refused; undefined: it is not. */
  refusal(request: IncomingMessage): 'origin not allowed' | 'too many connections' | undefined {
    const { origin, host } = request.headers;
    const allowlist = this.config.corsOrigins && [...this.config.corsOrigins];
    if (!isOriginAllowed({ origin, host, allowlist })) return 'origin not allowed';
    const open = this.#open.get(this.#addressOf(request)) ?? 0;
    return open >= this.config.maxSocketsPerIp ? 'too many connections' : undefined;
  }

  /** The same of one that asks for a socket, which it is counted for. */
  connectRefusal(request: IncomingMessage): ReturnType<AddressLimits['refusal']> | 'connecting too often' {
    const refusal = this.refusal(request);
    if (refusal) return refusal;
    return this.#connects.of(this.#addressOf(request)).take().ok ? undefined : 'connecting too often';
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
    takeToken(this.#requests.of(this.#addressOf(request)));
  }

  #addressOf(request: IncomingMessage): string {
    return clientAddress(request, this.config.trustProxy);
  }
}
