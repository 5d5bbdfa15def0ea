import { describe, expect, it } from '@jest/globals';
import type { IncomingMessage } from 'node:http';
import { clientAddress, isOriginAllowed, networkOf } from './origin.policy.js';

describe('[SEC-2] isOriginAllowed', () => {
  it('accepts a request without Origin', () => {
    expect(isOriginAllowed({ host: 'a.example' })).toBe(true);
    expect(isOriginAllowed({ allowlist: [] })).toBe(true);
  });

  it.each([
    ['http://a.example', 'a.example', true],
    ['http://A.example', 'a.Example', true],
    ['http://a.example:80', 'a.example', true],
    ['http://a.example', 'a.example:80', true],
    ['https://a.example', 'a.example:443', true],
    ['https://a.example', 'a.example', true],
    ['http://localhost:3000', 'localhost:3000', true],
    ['http://[::1]:3000', '[::1]:3000', true],
    ['https://a.example', 'a.example:80', false],
    ['http://localhost:5173', 'localhost:3000', false],
    ['http://localhost:3000', '127.0.0.1:3000', false],
    ['http://a.example.evil.example', 'a.example', false],
    ['http://evil.example', 'a.example', false],
    ['http://evil.example', 'a.example@evil.example', false],
    ['http://evil.example', 'evil.example/a.example', false],
    ['capacitor://localhost', 'localhost', false],
    ['null', 'null', false],
    ['', '', false],
    ['a.example', 'a.example', false],
    ['http://a.example/path', 'a.example', false],
    ['http://a.example', undefined, false],
  ])('without allowlist %s at %s: %s', (origin, host, allowed) => {
    expect(isOriginAllowed({ origin, host })).toBe(allowed);
  });

  it.each([
    ['https://app.example', true],
    ['HTTPS://APP.example:443', true],
    ['capacitor://localhost', true],
    ['http://app.example', false],
    ['https://app.example:8443', false],
    ['https://sub.app.example', false],
    ['https://app.example.evil.example', false],
    ['http://here.example', false],
    ['null', false],
    ['*', false],
  ])('with allowlist %s: %s', (origin, allowed) => {
    const allowlist = ['https://app.example', 'capacitor://localhost'];
    expect(isOriginAllowed({ origin, host: 'here.example', allowlist })).toBe(allowed);
  });
});

describe('[SEC-3] clientAddress', () => {
  const request = (remoteAddress: string | undefined, forwarded?: string): IncomingMessage =>
    ({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } }) as unknown as IncomingMessage;

  it.each([
    ['nobody is trusted', '10.0.0.1', '192.0.2.1', undefined, '10.0.0.1'],
    ['an IPv4 address in IPv6 form', '::ffff:10.0.0.1', undefined, undefined, '10.0.0.1'],
    ['one hop', '10.0.0.1', '198.51.100.1, 192.0.2.1', '1', '192.0.2.1'],
    ['two hops', '10.0.0.1', '198.51.100.1, 192.0.2.1', '2', '198.51.100.1'],
    ['fewer addresses than hops', '10.0.0.1', '192.0.2.1', '5', '192.0.2.1'],
    ['nothing forwarded', '10.0.0.1', undefined, '1', '10.0.0.1'],
    ['a trusted subnet', '::ffff:10.0.0.1', '198.51.100.1, 192.0.2.1, 10.9.9.9', '10.0.0.0/8', '192.0.2.1'],
    ['a stranger that forwards', '192.0.2.9', '198.51.100.1', 'loopback, 10.0.0.0/8', '192.0.2.9'],
    ['names of ranges', '127.0.0.1', '192.0.2.1, 192.168.1.1', 'loopback, uniquelocal', '192.0.2.1'],
    ['IPv6', '::1', '2001:db8::1', 'loopback', '2001:db8::1'],
    ['an address with a port', '127.0.0.1', '192.0.2.1:4711', '1', '192.0.2.1'],
    ['an IPv6 address with a port', '127.0.0.1', '[2001:db8::1]:4711', '1', '2001:db8::1'],
    ['what is no address', '127.0.0.1', 'unknown', '1', '127.0.0.1'],
    ['a closed socket', undefined, '192.0.2.1', '1', 'unknown'],
  ])('%s', (_name, remote, forwarded, trust, address) => {
    expect(clientAddress(request(remote, forwarded), trust)).toBe(address);
  });
});

describe('[LIM-8] networkOf', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['unknown', 'unknown'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:0:0:ffff:1:2:3', '2001:db8:0:0::/64'],
    ['2001:0DB8:0:1::', '2001:db8:0:1::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4::/64'],
    ['1::5:6:7:8', '1:0:0:0::/64'],
  ])('takes %s for %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
