import { Injectable } from '@nestjs/common';
import { Clock } from '../../clock.js';
import { RedisLink } from './redis.link.js';

/** The time of Redis, so that nodes whose clocks differ agree on when something is past. */
@Injectable()
export class RedisClock extends Clock {
  constructor(private readonly link: RedisLink) {
    super();
  }

  override now(): number {
    return this.link.now();
  }
}
