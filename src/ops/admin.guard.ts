import { createHash, timingSafeEqual } from 'node:crypto';
import { Injectable, NotFoundException, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';
import { Config } from '../config.js';
import { clientAddress, networkOf } from '../gateway/origin.policy.js';
import { KeyedBuckets } from '../gateway/rate.limits.js';
import { AuditLog } from './audit.log.js';

/** Wrong tokens of an address: somebody who mistypes has enough of them, who guesses does not. */
const GUESSES_AT_ONCE = 10;
const GUESSES_PER_MINUTE = 10;
/** How many addresses are kept locked; past that the one that was locked first is let go. */
const REMEMBERED = 10_000;

/** Without the right token there is no admin API: every path is as unknown as any other. */
@Injectable()
export class AdminGuard implements CanActivate {
  readonly #guesses = new KeyedBuckets(GUESSES_AT_ONCE, GUESSES_PER_MINUTE);
  /** Addresses that guessed too often, and until when (by `performance.now()`) none of their tokens is looked at. */
  readonly #locked = new Map<string, number>();

  constructor(
    private readonly config: Config,
    private readonly audit: AuditLog,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const request = http.getRequest<Request>();
    if (!this.#admits(request)) {
      throw new NotFoundException(`Cannot ${request.method} ${request.url}`);
    }
    http.getResponse<Response>().setHeader('Cache-Control', 'no-store');
    return true;
  }

  #admits(request: Request): boolean {
    const { adminToken } = this.config;
    const { authorization } = request.headers;
    // Who shows none has not guessed.
    if (adminToken === undefined || authorization === undefined) return false;
    const address = networkOf(clientAddress(request, this.config.trustProxy));
    if (this.#isLocked(address)) return false;
    if (same(authorization, `Bearer ${adminToken}`)) return true;
    const guess = this.#guesses.of(address).take();
    if (!guess.ok) this.#lock(address, guess.retryAfterMs);
    this.audit.record('token', guess.ok ? 'refused' : 'locked', request);
    return false;
  }

  #lock(address: string, forMs: number): void {
    this.#locked.set(address, performance.now() + forMs);
    const [first] = this.#locked.keys();
    if (this.#locked.size > REMEMBERED && first !== undefined) this.#locked.delete(first);
  }

  #isLocked(address: string): boolean {
    const until = this.#locked.get(address);
    if (until === undefined) return false;
    if (until > performance.now()) return true;
    this.#locked.delete(address);
    return false;
  }
}

function same(one: string, other: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}
