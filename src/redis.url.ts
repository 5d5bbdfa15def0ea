import type { RedisOptions } from 'ioredis';

export interface RedisTarget {
  clustered: boolean;
  /** Those of a cluster from which the others are learned. */
  nodes: { host: string; port: number }[];
  options: RedisOptions;
}

const PORTS = { redis: 6379, sentinel: 26_379 };

/** What REDIS_URL must look like; `+tls` on the two that name several hosts is TLS to each. */
export const REDIS_URL_FORMS =
  'redis://host:6379, rediss://…, redis-sentinel://host,host/master or redis-cluster://host,host';

const FORM =
  /^(redis|rediss|redis-sentinel|redis-cluster)(\+tls)?:\/\/(?:([^@/]*)@)?([^/@\s]+)(?:\/([^?\s]*))?$/;

/** @throws Error that says what a URL must look like */
export function parseRedisUrl(url: string): RedisTarget {
  const [, scheme, secured, user, hosts, path] = FORM.exec(url) ?? [];
  if (!scheme || !hosts) throw new Error(`must be a URL of the form ${REDIS_URL_FORMS}`);
  const [username, password] = (user ?? '').includes(':')
    ? splitOnce(user ?? '').map(decodeURIComponent)
    : [undefined, user === undefined || user === '' ? undefined : decodeURIComponent(user)];
  const options: RedisOptions = {
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
    ...(scheme === 'rediss' || secured ? { tls: {} } : {}),
  };
  const port = scheme === 'redis-sentinel' ? PORTS.sentinel : PORTS.redis;
  const nodes = hosts.split(',').map((each) => hostOf(each, port));
  switch (scheme) {
    case 'redis-cluster':
      return { clustered: true, nodes, options };
    case 'redis-sentinel':
      if (!path)
        throw new Error('must name the master after the sentinels: redis-sentinel://host:port/mymaster');
      return {
        clustered: false,
        nodes,
        options: { ...options, sentinels: nodes, name: path, enableTLSForSentinelMode: Boolean(secured) },
      };
    default: {
      const [{ host, port: at }, ...rest] = nodes as [{ host: string; port: number }];
      if (rest.length > 0)
        throw new Error('must name one host; several are a redis-sentinel:// or redis-cluster:// URL');
      if (path && !/^\d{1,3}$/.test(path))
        throw new Error('must end with the number of a database, or nothing');
      return { clustered: false, nodes, options: { ...options, host, port: at, db: Number(path || 0) } };
    }
  }
}

function hostOf(text: string, fallback: number): { host: string; port: number } {
  const [, v6, name, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (!host) throw new Error(`must name hosts as host:port, not ${text}`);
  return { host, port: port === undefined ? fallback : Number(port) };
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(':');
  return [text.slice(0, at), text.slice(at + 1)];
}
