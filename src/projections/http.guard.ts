import { ForbiddenException, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import { AddressLimits } from '../gateway/address.limits.js';
import { RequestError } from '../sessions/request.error.js';

/** What holds for a connection of Socket.IO holds for a request: whose page it is, how many, how often. */
@Injectable()
export class HttpGuard implements CanActivate {
  constructor(private readonly limits: AddressLimits) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<Request>();
    const refusal = this.limits.refusal(request);
    if (refusal === 'origin not allowed') throw new ForbiddenException(refusal);
    if (refusal) throw new RequestError('rate_limited', 'Too many connections are open.');
    this.limits.take(request);
    return true;
  }
}
