import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import proxyAddr from 'proxy-addr';
import { normalizeOrigin, splitList } from '../config.js';

type Trust = (address: string, hop: number) => boolean;

/** What a request's `Host` may look like: no path, no credentials. */
const HOST = /^[^\s/\\?#@]+$/;

export interface OriginCheck {
  /** The request's `Origin`; browsers always send it with what this protects from. */
  origin?: string;
  /** The request's `Host`. */
  host?: string;
  /** As {@link normalizeOrigin} writes them; undefined: the same origin only. */
  allowlist?: readonly string[];
}

/** Whether a page of that origin may connect; what is no browser sends none, and may. */
export function isOriginAllowed({ origin, host, allowlist }: OriginCheck): boolean {
  if (origin === undefined) return true;
  const normal = normalizeOrigin(origin);
  if (normal === undefined) return false;
  return allowlist ? allowlist.includes(normal) : isSameOrigin(normal, host);
}

/** The scheme is the origin's: behind a proxy that ends TLS the request's own says nothing. */
function isSameOrigin(origin: string, host: string | undefined): boolean {
  const scheme = /^https?:/.exec(origin)?.[0];
  if (!scheme || !host || !HOST.test(host)) return false;
  return normalizeOrigin(`${scheme}//${host}`) === origin;
}

/**
 * The address that a request came from, without a port, an IPv4 one in its own form.
 * @param trust `TRUST_PROXY`: a number of proxies, or their addresses; unset: the socket's own address
 * @returns `unknown` once the socket is closed
 */
export function clientAddress(req: IncomingMessage, trust?: string): string {
  const direct = plainAddress(req.socket.remoteAddress ?? '');
  if (!direct || !trust) return direct ?? 'unknown';
  // A trusted proxy may still hand on what a client made up: then the proxy itself has to do.
  return plainAddress(proxyAddr(req, trustOf(trust))) ?? direct;
}

const compiled = new Map<string, Trust>();

/** Compiled once: this runs for every connection. */
function trustOf(trust: string): Trust {
  const known = compiled.get(trust);
  if (known) return known;
  const hops = /^\d+$/.test(trust) ? Number(trust) : undefined;
  const made =
    hops === undefined ? proxyAddr.compile(splitList(trust)) : (_: string, hop: number) => hop < hops;
  compiled.set(trust, made);
  return made;
}

/** Some proxies add the client's port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function plainAddress(written: string): string | undefined {
  const bare = isIP(written)
    ? written
    : written.replace(/^\[(.+)\](:\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1');
  const address = bare.replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(address) ? address : undefined;
}

/**
 * What counts as one address where something is counted by it: an IPv4 address, and of an IPv6 one the /64, since
 * whoever has one of those has all of it.
 */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const groups = (text: string): string[] => text.split(':').filter(Boolean);
  const [first, last] = [groups(head), groups(tail ?? '')];
  // The last 32 bits may be written as an IPv4 address: one group that stands for two.
  const written = first.length + last.length + (address.includes('.') ? 1 : 0);
  const all = tail === undefined ? first : [...first, ...Array<string>(8 - written).fill('0'), ...last];
  const network = all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}
