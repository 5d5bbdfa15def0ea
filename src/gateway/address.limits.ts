import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import { Config } from '../config.js';
import { LIMITS } from '../protocol.js';
import { clientAddress, isOriginAllowed, networkOf } from './origin.policy.js';
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
  /** Open connections of all kinds, and how many there have been. */
  connections = 0;
  accepted = 0;
  readonly refused = { origin: 0, address_connections: 0, address_rate: 0 };

  constructor(private readonly config: Config) {
    const { maxSocketsPerIp: sockets } = config;
    this.#connects = new KeyedBuckets(CONNECTS_AT_ONCE * sockets, CONNECTS_PER_MINUTE * sockets);
  }

  /** Why a request is refused; undefined: it is not. */
  refusal(request: IncomingMessage): 'origin not allowed' | 'too many connections' | undefined {
    const { origin, host } = request.headers;
    const allowlist = this.config.corsOrigins && [...this.config.corsOrigins];
    if (!isOriginAllowed({ origin, host, allowlist })) {
      this.refused.origin += 1;
      return 'origin not allowed';
    }
    const open = this.#open.get(this.#addressOf(request)) ?? 0;
    if (open < this.config.maxSocketsPerIp) return undefined;
    this.refused.address_connections += 1;
    return 'too many connections';
  }

  /** The same of one that asks for a socket, which it is counted for. */
  connectRefusal(request: IncomingMessage): ReturnType<AddressLimits['refusal']> | 'connecting too often' {
    const refusal = this.refusal(request);
    if (refusal) return refusal;
    if (this.#connects.of(this.#addressOf(request)).take().ok) return undefined;
    this.refused.address_rate += 1;
    return 'connecting too often';
  }

  /** Counts an open connection. @returns counts it out again */
  count(request: IncomingMessage): () => void {
    this.accepted += 1;
    return this.hold(request);
  }

  /** The same of one that waits to be let in. */
  hold(request: IncomingMessage): () => void {
    // Of a closed socket the address is not known any more.
    const address = this.#addressOf(request);
    this.#open.set(address, (this.#open.get(address) ?? 0) + 1);
    this.connections += 1;
    return () => {
      this.connections -= 1;
      const left = (this.#open.get(address) ?? 1) - 1;
      if (left > 0) this.#open.set(address, left);
      else this.#open.delete(address);
    };
  }

  /** Counts a request that comes without a socket of its own. @throws RequestError `rate_limited` */
  take(request: IncomingMessage): void {
    takeToken(this.#requests.of(this.#addressOf(request)), 'address');
  }

  #addressOf(request: IncomingMessage): string {
    return networkOf(clientAddress(request, this.config.trustProxy));
  }
}
