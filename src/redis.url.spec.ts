import { describe, expect, it } from '@jest/globals';
import { parseRedisUrl } from './redis.url.js';

describe('REDIS_URL', () => {
  it.each([
    ['redis://localhost', { host: 'localhost', port: 6379, db: 0 }],
    ['redis://10.0.0.1:7000/3', { host: '10.0.0.1', port: 7000, db: 3 }],
    ['redis://:p%40ss@redis/', { host: 'redis', port: 6379, db: 0, password: 'p@ss' }],
    ['redis://user:a:b@redis:1', { host: 'redis', port: 1, db: 0, username: 'user', password: 'a:b' }],
    ['rediss://redis', { host: 'redis', port: 6379, db: 0, tls: {} }],
    ['redis://[::1]:7000', { host: '::1', port: 7000, db: 0 }],
  ])('%s is one server', (url, options) => {
    expect(parseRedisUrl(url)).toMatchObject({ clustered: false, options });
    expect(Object.keys(parseRedisUrl(url).options).sort()).toEqual(Object.keys(options).sort());
  });

  it('names sentinels and their master', () => {
    const sentinels = [
      { host: 'a', port: 26_379 },
      { host: 'b', port: 5000 },
    ];
    expect(parseRedisUrl('redis-sentinel://:secret@a,b:5000/main')).toMatchObject({
      clustered: false,
      options: { sentinels, name: 'main', password: 'secret', enableTLSForSentinelMode: false },
    });
    expect(parseRedisUrl('redis-sentinel+tls://a/main').options).toMatchObject({
      tls: {},
      enableTLSForSentinelMode: true,
    });
  });

  it('names masters of a cluster', () => {
    expect(parseRedisUrl('redis-cluster://a:7000,b')).toEqual({
      clustered: true,
      nodes: [
        { host: 'a', port: 7000 },
        { host: 'b', port: 6379 },
      ],
      options: {},
    });
  });

  it.each([
    ['http://redis', /^must be a URL of the form redis:\/\//],
    ['redis://', /^must be a URL/],
    ['redis://a,b', /^must name one host/],
    ['redis://a/b', /^must end with the number of a database/],
    ['redis://a:b', /^must name hosts as host:port, not a:b/],
    ['redis-sentinel://a', /^must name the master/],
  ])('%s is refused', (url, message) => {
    expect(() => parseRedisUrl(url)).toThrow(message);
  });
});
