import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Config,
  ConfigError,
  configHelp,
  configMarkdown,
  loadConfig,
  normalizeOrigin,
  parseDuration,
} from './config.js';

const SECRET = 'a secret that is longer than 32 bytes';

function problemsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe('loadConfig', () => {
  it("[OPS-10] has the contract's defaults", () => {
    expect({ ...loadConfig({}) }).toEqual({
      port: 3000,
      host: '127.0.0.1',
      transports: ['websocket', 'polling'],
      store: 'sqlite',
      dataDir: './data',
      agentsDir: './agents',
      defaultAgent: 'alice',
      auth: { mode: 'anonymous' },
      maxSocketsPerIp: 256,
      maxTurns: 1000,
      maxSessionsPerOwner: 1000,
      maxTurnsPerOwner: 64,
      sessionTtlMs: 86_400_000,
      resumeWindowMs: 600_000,
      detachPolicy: 'continue',
      detachGraceMs: 30_000,
      detachedTurnLimitMs: 600_000,
      turnTimeoutMs: 900_000,
      modelFirstByteTimeoutMs: 60_000,
      modelIdleTimeoutMs: 60_000,
      maxSteps: 16,
      toolTimeoutMs: 60_000,
      contextTokens: 32_000,
      flushIntervalMs: 40,
      drainTimeoutMs: 25_000,
      logLevel: 'info',
    });
  });

  it('[OBS-4] traces to where either endpoint says, and samples as it is told', () => {
    const sampler = { kind: 'parentbased_always_on', ratio: 1 };
    expect(loadConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a.example:4318/' }).tracing).toEqual({
      endpoint: 'http://a.example:4318/v1/traces',
      sampler,
    });
    const both = loadConfig({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a.example:4318',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://b.example/in',
      OTEL_SERVICE_NAME: 'chat',
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    });
    expect(both.tracing).toEqual({
      endpoint: 'https://b.example/in',
      serviceName: 'chat',
      sampler: { kind: 'traceidratio', ratio: 0.25 },
    });
    for (const OTEL_TRACES_SAMPLER_ARG of ['1.5', '-1', 'x', '1e-3'])
      expect(problemsOf({ OTEL_TRACES_SAMPLER_ARG })).toHaveLength(1);
  });

  it('is frozen to its depths and an instance of its token', () => {
    const config = loadConfig({ AUTH: 'jwt', JWT_SECRET: SECRET, CORS_ORIGINS: 'https://a.example' });
    expect(config).toBeInstanceOf(Config);
    for (const part of [config, config.auth, config.transports, config.corsOrigins])
      expect(Object.isFrozen(part)).toBe(true);
  });

  it('[OPS-10] counts empty and blank strings as unset', () => {
    const env = Object.fromEntries(
      variableNames().flatMap((name) => [
        [name, ''],
        [`${name}_FILE`, ''],
      ]),
    );
    expect(loadConfig(env)).toEqual(loadConfig({}));
    expect(loadConfig({ PORT: '  ' }).port).toBe(3000);
  });

  it('[OPS-1] names every bad variable at once, one a line', () => {
    const bad = {
      PORT: '65536',
      HOST: 'two words',
      TRANSPORTS: 'websocket,pigeon',
      STORE: 'mysql',
      REDIS_URL: 'http://redis',
      OPENAI_BASE_URL: 'ftp://models.example/v1',
      OPENAI_API_KEY: 'sk with spaces',
      DEFAULT_AGENT: '../alice',
      AUTH: 'basic',
      JWT_SECRET: 'short',
      JWKS_URL: 'keys.json',
      CORS_ORIGINS: 'https://a.example/path',
      TRUST_PROXY: 'true',
      MAX_SOCKETS_PER_IP: '0',
      MAX_TURNS: '-1',
      MAX_SESSIONS_PER_OWNER: '0',
      MAX_TURNS_PER_OWNER: 'many',
      MAX_TOKENS_PER_DAY: '0',
      ADMIN_TOKEN: 'not\nvisible',
      SESSION_TTL: '24',
      RESUME_WINDOW: '1w',
      DETACH_POLICY: 'stop',
      DETACH_GRACE: '1.5s',
      DETACHED_TURN_LIMIT: '-1s',
      TURN_TIMEOUT: '25d',
      MODEL_FIRST_BYTE_TIMEOUT: '0s',
      MODEL_IDLE_TIMEOUT: '1e3s',
      MAX_STEPS: '1001',
      TOOL_TIMEOUT: 'soon',
      CONTEXT_TOKENS: '1',
      FLUSH_INTERVAL: '11s',
      DRAIN_TIMEOUT: '1 s',
      LOG_LEVEL: 'loud',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://me:secret@collector.example',
      OTEL_TRACES_SAMPLER: 'jaeger_remote',
      OTEL_TRACES_SAMPLER_ARG: '2',
    };
    const problems = problemsOf(bad);
    const named = problems.map((line) => line.split(' ')[0]);
    expect(named).toEqual(expect.arrayContaining([...Object.keys(bad), 'MODEL']));
    expect(problems).toHaveLength(Object.keys(bad).length + 1);
    for (const line of problems) expect(line).toMatch(/^[A-Z_]+ must [^\n]+$/);
    // What cannot be bad: any text will do.
    const free = variableNames().filter((name) => !named.includes(name));
    expect(free).toEqual(['DATA_DIR', 'AGENTS_DIR', 'JWT_ISSUER', 'JWT_AUDIENCE', 'OTEL_SERVICE_NAME']);
  });

  it('never prints a secret', () => {
    const secrets = {
      JWT_SECRET: 'hush-1',
      ADMIN_TOKEN: 'hush 2',
      OPENAI_API_KEY: 'hush 3',
      REDIS_URL: 'hush-4',
      OPENAI_BASE_URL: 'https://me:hush-5@models.example/v1',
      JWKS_URL: 'https://me:hush-6@keys.example',
    };
    const problems = problemsOf({ ...secrets, MODEL: 'm' });
    expect(problems).toHaveLength(6);
    expect(problems.join()).not.toContain('hush');
  });

  it.each([
    ['a number with a sign', { PORT: '+1' }],
    ['an empty list', { TRANSPORTS: ',' }],
    ['an empty allowlist', { CORS_ORIGINS: ' , ' }],
    ['an allowlist with null', { CORS_ORIGINS: 'https://a.example,null' }],
    ['33 hops', { TRUST_PROXY: '33' }],
    ['a proxy that is no address', { TRUST_PROXY: '10.0.0.0/8, proxy.example' }],
    ['every address', { TRUST_PROXY: '0.0.0.0/0' }],
  ])('refuses %s', (_name, env) => {
    expect(problemsOf(env)).toHaveLength(1);
  });

  it('says why * is refused, and what redis needs', () => {
    expect(problemsOf({ CORS_ORIGINS: '*' })[0]).toContain('must name each origin');
    expect(problemsOf({ STORE: 'redis' })[0]).toMatch(/^REDIS_URL must be a URL .*, since STORE is redis$/);
    expect(problemsOf({ STORE: 'redis', REDIS_URL: 'http://redis' })).toHaveLength(1);
    expect(problemsOf({ REDIS_URL: 'redis://a,b' })[0]).toMatch(/^REDIS_URL must name one host/);
  });

  it('takes only WebSocket with redis, unless it is told otherwise', () => {
    const redis = { STORE: 'redis', REDIS_URL: 'redis://:secret@localhost' };
    expect(loadConfig(redis)).toMatchObject({
      store: 'redis',
      redisUrl: redis.REDIS_URL,
      transports: ['websocket'],
    });
    expect(loadConfig({ ...redis, TRANSPORTS: 'polling' }).transports).toEqual(['polling']);
  });

  it('normalises lists', () => {
    const config = loadConfig({
      TRANSPORTS: ' polling , websocket,polling',
      CORS_ORIGINS: 'https://A.example:443/, http://b.example:8080,capacitor://localhost',
      TRUST_PROXY: 'loopback, 10.0.0.0/8, fd00::/8',
    });
    expect(config.transports).toEqual(['polling', 'websocket']);
    expect(config.corsOrigins).toEqual([
      'https://a.example',
      'http://b.example:8080',
      'capacitor://localhost',
    ]);
    expect(config.trustProxy).toBe('loopback, 10.0.0.0/8, fd00::/8');
  });
});

describe("the model's vendor", () => {
  it('is there with a key or a base URL', () => {
    expect(loadConfig({ OPENAI_API_KEY: 'sk-1', MODEL: 'm' }).vendor).toEqual({
      baseUrl: 'https://api.openai.com/v1',
      apiKey: 'sk-1',
      model: 'm',
    });
    expect(loadConfig({ OPENAI_BASE_URL: 'http://localhost:11434/v1/', MODEL: 'm' }).vendor).toEqual({
      baseUrl: 'http://localhost:11434/v1',
      model: 'm',
    });
  });

  it('needs a model, which alone is no vendor', () => {
    expect(problemsOf({ OPENAI_API_KEY: 'sk-1' })).toEqual([
      "MODEL must be the model's id as its vendor spells it, since OPENAI_API_KEY is set",
    ]);
    expect(loadConfig({ MODEL: 'm' }).vendor).toBeUndefined();
  });
});

describe('AUTH=jwt', () => {
  it('takes exactly one kind of key', () => {
    const url = 'https://keys.example/jwks.json';
    expect(loadConfig({ AUTH: 'jwt', JWT_SECRET: SECRET, JWT_ISSUER: 'i', JWT_AUDIENCE: 'a' }).auth).toEqual({
      mode: 'jwt',
      secret: SECRET,
      issuer: 'i',
      audience: 'a',
    });
    expect(loadConfig({ AUTH: 'jwt', JWKS_URL: url }).auth).toEqual({ mode: 'jwt', jwksUrl: url });
    expect(loadConfig({ JWT_ISSUER: 'i' }).auth).toEqual({ mode: 'anonymous', ignored: 'JWT_ISSUER' });
    expect(loadConfig({ AUTH: 'anonymous', JWT_ISSUER: 'i' }).auth).toEqual({ mode: 'anonymous' });
    expect(problemsOf({ AUTH: 'jwt' })).toEqual(['JWT_SECRET or JWKS_URL must be set with AUTH=jwt']);
    expect(problemsOf({ AUTH: 'jwt', JWKS_URL: url, JWT_SECRET: SECRET })[0]).toContain(
      'must not both be set',
    );
  });

  it('does not call a bad key a missing one', () => {
    const problems = problemsOf({ AUTH: 'jwt', JWT_SECRET: 'short' });
    expect(problems).toEqual([expect.stringMatching(/^JWT_SECRET must be at least 32 bytes long: HS256/)]);
  });
});

describe('secrets from files', () => {
  let dir: string;
  const write = (name: string, content: string): string => {
    writeFileSync(join(dir, name), content);
    return join(dir, name);
  };
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'mooring-config-'));
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  it('[OPS-1] trims one final newline and nothing else', () => {
    const env = {
      AUTH: 'jwt',
      JWT_SECRET_FILE: write('jwt', ` ${SECRET} \r\n`),
      ADMIN_TOKEN_FILE: write('a', 't\n'),
    };
    expect(loadConfig(env)).toMatchObject({ adminToken: 't', auth: { secret: ` ${SECRET} ` } });
  });

  it('refuses both, a file that is absent, and an empty one', () => {
    const absent = join(dir, 'absent');
    const problems = problemsOf({
      ADMIN_TOKEN: 'hush',
      ADMIN_TOKEN_FILE: absent,
      OPENAI_API_KEY_FILE: absent,
      REDIS_URL_FILE: write('empty', '\n'),
      MODEL: 'm',
    });
    expect(problems).toEqual([
      expect.stringMatching(/^REDIS_URL_FILE .* is empty$/),
      expect.stringMatching(/^OPENAI_API_KEY_FILE .*ENOENT.*absent/),
      'ADMIN_TOKEN and ADMIN_TOKEN_FILE must not both be set',
    ]);
  });
});

describe('durations', () => {
  it('[OPS-10] multiply by their unit', () => {
    const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    const unit = fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[]));
    fc.assert(
      fc.property(fc.nat(10_000), unit, (count, name) => {
        expect(parseDuration(`${count}${name}`)).toBe(count * units[name]);
      }),
    );
  });

  it('are NaN for any other text', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !/^\d+(ms|s|m|h|d)$/.test(text)),
        (text) => {
          expect(parseDuration(text)).toBeNaN();
        },
      ),
    );
    for (const text of ['30', '1.5s', '-1s', '1 s', ' 1s', '1S', '1s1s', ''])
      expect(parseDuration(text)).toBeNaN();
  });

  it('never exceed what a timer can wait, but for SESSION_TTL', () => {
    fc.assert(
      fc.property(fc.nat(100), (days) => {
        expect(problemsOf({ TURN_TIMEOUT: `${days}d` })).toHaveLength(days >= 1 && days <= 24 ? 0 : 1);
        expect(problemsOf({ SESSION_TTL: `${days}d` })).toHaveLength(days >= 1 ? 0 : 1);
      }),
    );
  });
});

describe('normalizeOrigin', () => {
  it.each([
    ['https://a.example', 'https://a.example'],
    ['HTTPS://A.Example:443/', 'https://a.example'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
    ['capacitor://Localhost', 'capacitor://localhost'],
    ['null', undefined],
    ['*', undefined],
    ['a.example', undefined],
    ['file://', undefined],
    ['https://a.example/x', undefined],
    ['https://a.example?x', undefined],
    ['https://a.example#x', undefined],
    ['https://me@a.example', undefined],
  ])('makes %s %s', (origin, normal) => {
    expect(normalizeOrigin(origin)).toBe(normal);
  });
});

/** From the documentation, which comes from the table. */
function variableNames(): string[] {
  return [...configMarkdown().matchAll(/^\| `([A-Z_]+)`/gm)].map((match) => match[1] ?? '');
}

describe('the documentation', () => {
  it('is a table with a row a variable', () => {
    const rows = configMarkdown().trim().split('\n');
    expect(variableNames()).toHaveLength(rows.length - 2);
    for (const line of rows) expect(line.match(/\|/g)).toHaveLength(5);
    expect(rows).toContainEqual(expect.stringContaining('`ADMIN_TOKEN`, `ADMIN_TOKEN_FILE`'));
  });

  it('[OPS-1] helps with every variable, its default and its file', () => {
    const help = configHelp();
    for (const name of variableNames()) expect(help).toContain(`  ${name}`);
    expect(help).toContain('Usage: npm start');
    expect(help).toContain('  FLUSH_INTERVAL  [40ms]');
    expect(help).toContain('  JWT_SECRET (or JWT_SECRET_FILE)');
    expect(Math.max(...help.split('\n').map((line) => line.length))).toBeLessThanOrEqual(130);
  });
});
