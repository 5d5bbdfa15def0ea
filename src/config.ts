import { readFileSync } from 'node:fs';
import proxyAddr from 'proxy-addr';
import { z } from 'zod';
import { parseRedisUrl, REDIS_URL_FORMS } from './redis.url.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: MINUTE_MS, h: 60 * MINUTE_MS, d: DAY_MS };
const TRANSPORTS = ['websocket', 'polling'] as const;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
const OPENAI_URL = 'https://api.openai.com/v1';
const AGENT_ID = /^[a-z0-9][a-z0-9_-]{0,63}$/;
/** HS256 signs with a key of at least its hash's size (RFC 7518, 3.2). */
const HS256_KEY_BYTES = 32;

export type Transport = (typeof TRANSPORTS)[number];
export type LogLevel = (typeof LOG_LEVELS)[number];
/** With `jwt` exactly one of `secret` (HS256) and `jwksUrl` (asymmetric keys) is there. */
export type AuthConfig =
  /** `ignored`: a variable of tokens that is set, while AUTH is not. */
  | { readonly mode: 'anonymous'; readonly ignored?: string }
  | {
      readonly mode: 'jwt';
      readonly secret?: string;
      readonly jwksUrl?: string;
      readonly issuer?: string;
      readonly audience?: string;
    };

/** Spans of turns are posted to `endpoint`, as OTLP in JSON. */
export interface TracingConfig {
  readonly endpoint: string;
  readonly serviceName?: string;
  /** `ratio`, from 0 to 1, is of the kinds that are named after it. */
  readonly sampler: { readonly kind: (typeof SAMPLERS)[number]; readonly ratio: number };
}

/**
 * The environment, validated and frozen, and its own injection token. Each `…Ms` is in milliseconds.
 * Made by {@link loadConfig}; a test that needs another value makes `new Config({ ...loadConfig({}), … })`.
 */
export class Config {
  readonly port!: number;
  readonly host!: string;
  readonly transports!: readonly Transport[];
  readonly store!: 'sqlite' | 'memory' | 'redis';
  readonly dataDir!: string;
  /** There with `redis`. */
  readonly redisUrl?: string;
  /** Absent: the scripted model answers. `baseUrl` has no slash at its end. */
  readonly vendor?: { readonly baseUrl: string; readonly apiKey?: string; readonly model: string };
  readonly agentsDir!: string;
  readonly defaultAgent!: string;
  readonly auth!: AuthConfig;
  /** As {@link normalizeOrigin} writes them. Absent: the same origin only. */
  readonly corsOrigins?: readonly string[];
  readonly trustProxy?: string;
  readonly maxSocketsPerIp!: number;
  readonly maxTurns!: number;
  readonly maxSessionsPerOwner!: number;
  readonly maxTurnsPerOwner!: number;
  /** Absent: no limit. */
  readonly maxTokensPerDay?: number;
  readonly adminToken?: string;
  readonly sessionTtlMs!: number;
  readonly resumeWindowMs!: number;
  readonly detachPolicy!: 'continue' | 'interrupt';
  readonly detachGraceMs!: number;
  readonly detachedTurnLimitMs!: number;
  readonly turnTimeoutMs!: number;
  readonly modelFirstByteTimeoutMs!: number;
  readonly modelIdleTimeoutMs!: number;
  readonly maxSteps!: number;
  readonly toolTimeoutMs!: number;
  readonly contextTokens!: number;
  readonly flushIntervalMs!: number;
  readonly drainTimeoutMs!: number;
  readonly logLevel!: LogLevel;
  /** Absent: nothing is traced. */
  readonly tracing?: TracingConfig;

  constructor(fields: Config) {
    deepFreeze(Object.assign(this, fields));
  }
}

/** The message names every variable that cannot be used, one a line, and never a secret's value. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(['The configuration cannot be used:', ...problems.map((line) => `  ${line}`)].join('\n'));
    this.name = 'ConfigError';
  }
}

// ---- What a value may be -------------------------------------------------------------------------------

interface Kind<T> {
  /** Completes "NAME must be …". */
  must: string;
  schema: z.ZodType<T, string>;
  /** May come from NAME_FILE, and is not trimmed. */
  secret?: boolean;
  /** Its value is never shown in an error: a secret, or a URL that may hold one. */
  hidden?: boolean;
}

const text: Kind<string> = { must: 'some text', schema: z.string() };

function matching(must: string, pattern: RegExp): Kind<string> {
  return { must, schema: z.string().regex(pattern) };
}

function whole(min: number, max: number): Kind<number> {
  const schema = z.string().regex(/^\d+$/).transform(Number).pipe(z.number().min(min).max(max));
  return { must: `a whole number from ${min} to ${max}`, schema };
}

function fraction(): Kind<number> {
  const schema = z
    .string()
    .regex(/^\d*\.?\d+$/)
    .transform(Number)
    .pipe(z.number().min(0).max(1));
  return { must: 'a number from 0 to 1', schema };
}

function oneOf<const T extends string>(...values: T[]): Kind<T> {
  return { must: values.join(values.length > 2 ? ', ' : ' or '), schema: z.enum(values) };
}

/** @param min `0ms` where nothing to wait for makes sense */
function duration(min: '0ms' | '1ms', max: string): Kind<number> {
  const inRange = z.number().min(parseDuration(min)).max(parseDuration(max));
  const schema = z.string().transform(parseDuration).pipe(inRange);
  return { must: `an integer with ms, s, m, h or d, such as 30s, from ${min} to ${max}`, schema };
}

function httpUrl(must: string, isOne = isPlainHttpUrl): Kind<string> {
  return { must, schema: z.string().refine(isOne), hidden: true };
}

/** A secret that travels in an HTTP header. */
const headerSecret: Kind<string> = {
  must: 'visible ASCII characters without spaces, since it travels in a header',
  schema: z.string().regex(/^[\x21-\x7e]+$/),
  secret: true,
  hidden: true,
};

const signingSecret: Kind<string> = {
  must: `at least ${HS256_KEY_BYTES} bytes long: HS256 is only as strong as a key of its hash's size`,
  schema: z.string().refine((secret) => Buffer.byteLength(secret) >= HS256_KEY_BYTES),
  secret: true,
  hidden: true,
};

const redisUrl: Kind<string> = {
  must: `a URL of the form ${REDIS_URL_FORMS}`,
  schema: z.string().superRefine((url, context) => {
    try {
      parseRedisUrl(url);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    }
  }),
  secret: true,
  hidden: true,
};

const transports: Kind<Transport[]> = {
  must: 'websocket, polling or both with a comma between',
  schema: z
    .string()
    .transform((list) => [...new Set(splitList(list))])
    .pipe(z.array(z.enum(TRANSPORTS)).min(1)),
};

const store: Kind<'sqlite' | 'memory' | 'redis'> = {
  must: 'sqlite, memory or redis',
  schema: z.enum(['sqlite', 'memory', 'redis']),
};

const origins: Kind<string[]> = {
  must: 'origins such as https://a.example with commas between, without paths',
  schema: z
    .string()
    .refine((list) => !splitList(list).includes('*'), {
      error: 'must name each origin: * would let any web page that a user visits talk to the gateway',
      abort: true,
    })
    .transform((list) => splitList(list).map((origin) => normalizeOrigin(origin) ?? null))
    .pipe(z.array(z.string()).min(1)),
};

const proxies: Kind<string> = {
  must: 'a number of proxies from 1 to 32, or addresses, subnets, loopback, linklocal, uniquelocal with commas between',
  schema: z.string().refine(isProxyList),
};

// ---- The variables -------------------------------------------------------------------------------------

interface Variable<T, Default extends string | undefined = string | undefined> {
  kind: Kind<T>;
  default: Default;
  meaning: string;
}

function row<T, const Default extends string | undefined>(
  kind: Kind<T>,
  fallback: Default,
  meaning: string,
): Variable<T, Default> {
  return { kind, default: fallback, meaning };
}

// setTimeout takes no more than 2^31 - 1 ms (24.8 days) and fires at once past it.
const timer = duration('1ms', '24d');
const pause = duration('0ms', '24d');
const jwksUrl = httpUrl('an http or https URL without credentials');
const baseUrl = httpUrl(
  `an http or https URL without credentials or query, with its /v1, such as ${OPENAI_URL}`,
  isBaseUrl,
);
const otlpUrl = httpUrl('an http or https URL without credentials, such as http://127.0.0.1:4318');
const otlpBaseUrl = httpUrl(
  'an http or https URL without credentials or query, such as http://127.0.0.1:4318',
  isBaseUrl,
);
const agentId: Kind<string> = {
  must: 'an id of a-z, 0-9, _ and -, at most 64 characters',
  schema: z.string().toLowerCase().regex(AGENT_ID),
};
const hostName = matching('a host name or an IP address', /^[A-Za-z0-9._:%-]+$/);

/** The one table: validation, `--help` and the documentation's table all come from it. */
const VARIABLES = {
  PORT: row(whole(0, 65_535), '3000', 'the port it listens on; 0 picks a free one'),
  HOST: row(hostName, '127.0.0.1', 'the address it listens on (image: 0.0.0.0)'),
  TRANSPORTS: row(
    transports,
    'websocket,polling',
    'polling needs one node, or stickiness; with STORE=redis only websocket unless said',
  ),
  STORE: row(store, 'sqlite', 'where sessions are kept: by one node, for a while, or by many'),
  DATA_DIR: row(text, './data', "the SQLite file's folder, made if absent"),
  REDIS_URL: row(
    redisUrl,
    undefined,
    'required with STORE=redis; user:password@ before the hosts, +tls after sentinel and cluster',
  ),
  OPENAI_BASE_URL: row(baseUrl, undefined, `any OpenAI-compatible endpoint; with only a key, ${OPENAI_URL}`),
  OPENAI_API_KEY: row(headerSecret, undefined, "the vendor's key; with neither, a scripted model answers"),
  MODEL: row(text, undefined, "required with a vendor: the model's id, which an agent's own overrides"),
  AGENTS_DIR: row(text, './agents', 'the folder of <id>.md, one an agent'),
  DEFAULT_AGENT: row(agentId, 'alice', 'the agent of a session that names none'),
  AUTH: row(oneOf('anonymous', 'jwt'), 'anonymous', 'jwt needs JWT_SECRET or JWKS_URL'),
  JWT_SECRET: row(signingSecret, undefined, 'for AUTH=jwt: the key of HS256 tokens'),
  JWKS_URL: row(jwksUrl, undefined, 'for AUTH=jwt: the public keys of RS256, PS256, ES256 or EdDSA tokens'),
  JWT_ISSUER: row(text, undefined, 'for AUTH=jwt: what `iss` must be'),
  JWT_AUDIENCE: row(text, undefined, 'for AUTH=jwt: what `aud` must hold'),
  CORS_ORIGINS: row(
    origins,
    undefined,
    "web pages of these origins may connect, the gateway's own only if listed; unset: the same origin",
  ),
  TRUST_PROXY: row(proxies, undefined, 'whose X-Forwarded-For is believed; unset: nobody'),
  MAX_SOCKETS_PER_IP: row(whole(1, 1_000_000), '256', 'open sockets an address'),
  MAX_TURNS: row(whole(1, 1_000_000), '1000', 'turns running at once on a node; more wait'),
  MAX_SESSIONS_PER_OWNER: row(whole(1, 1_000_000), '1000', "sessions of a token's subject (AUTH=jwt)"),
  MAX_TURNS_PER_OWNER: row(
    whole(1, 1_000_000),
    '64',
    'turns of a subject running at once on a node; more wait',
  ),
  MAX_TOKENS_PER_DAY: row(
    whole(1, 1_000_000_000_000),
    undefined,
    'tokens, in and out, after which a subject starts no more turns on that day (UTC); unset: no limit',
  ),
  ADMIN_TOKEN: row(headerSecret, undefined, 'the bearer token of /admin; unset: no admin'),
  SESSION_TTL: row(duration('1ms', '3650d'), '24h', 'a detached, idle session expires after this'),
  RESUME_WINDOW: row(pause, '10m', "how long an ended turn's events can be replayed one by one"),
  DETACH_POLICY: row(oneOf('continue', 'interrupt'), 'continue', 'what becomes of turns that nobody watches'),
  DETACH_GRACE: row(pause, '30s', 'how long interrupt waits for somebody to come back'),
  DETACHED_TURN_LIMIT: row(pause, '10m', 'detached for longer, turns end whatever the policy'),
  TURN_TIMEOUT: row(timer, '15m', 'a whole turn'),
  MODEL_FIRST_BYTE_TIMEOUT: row(timer, '60s', "the model's first byte, connecting included, an attempt"),
  MODEL_IDLE_TIMEOUT: row(timer, '60s', "the longest silence within a model's answer"),
  MAX_STEPS: row(whole(1, 1000), '16', 'model steps a turn'),
  TOOL_TIMEOUT: row(timer, '60s', 'one tool call'),
  CONTEXT_TOKENS: row(
    whole(100, 100_000_000),
    '32000',
    'what a prompt may hold; older turns are left out first',
  ),
  FLUSH_INTERVAL: row(duration('0ms', '10s'), '40ms', 'how long deltas are gathered before they are sent'),
  DRAIN_TIMEOUT: row(pause, '25s', 'how long a stopping node lets running turns go on'),
  LOG_LEVEL: row(oneOf(...LOG_LEVELS), 'info', 'the least severe lines that are logged'),
  OTEL_EXPORTER_OTLP_ENDPOINT: row(
    otlpBaseUrl,
    undefined,
    'where turns are traced to, as OTLP/HTTP in JSON at its /v1/traces; unset: nowhere',
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: row(otlpUrl, undefined, 'the same, with its path'),
  OTEL_SERVICE_NAME: row(text, undefined, 'what traces call this service; unset: mooring'),
  OTEL_TRACES_SAMPLER: row(
    oneOf(...SAMPLERS),
    'parentbased_always_on',
    'which turns are traced; parentbased: as whoever asks for one says',
  ),
  OTEL_TRACES_SAMPLER_ARG: row(fraction(), '1', 'the share of them, for traceidratio'),
};

type Name = keyof typeof VARIABLES;
type Value<V> =
  V extends Variable<infer T, infer Default> ? (Default extends string ? T : T | undefined) : never;
type Values = { [N in Name]: Value<(typeof VARIABLES)[N]> };
const NAMES = Object.keys(VARIABLES) as Name[];

// ---- Reading -------------------------------------------------------------------------------------------

/** The process's configuration. @throws ConfigError */
export function readConfig(): Config {
  return loadConfig(process.env);
}

/**
 * @param env an empty string counts as unset; secrets may come from the files that their NAME_FILE names
 * @throws ConfigError that names every variable that cannot be used
 */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const problems: string[] = [];
  const given = new Map<Name, string>();
  const values: Partial<Record<Name, unknown>> = {};
  for (const name of NAMES) {
    try {
      const raw = rawValue(env, name);
      if (raw !== undefined) given.set(name, raw);
      values[name] = parseValue(name, raw);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      given.set(name, '');
      problems.push(error.message);
    }
  }
  problems.push(...missing(given));
  if (problems.length > 0) throw new ConfigError(problems);
  return toConfig(values as Values, given);
}

/** One line of a {@link ConfigError}. */
class Refusal extends Error {}

function rawValue(env: NodeJS.ProcessEnv, name: Name): string | undefined {
  const { secret } = VARIABLES[name].kind as Kind<unknown>;
  if (!secret) return env[name]?.trim() || undefined;
  const file = env[`${name}_FILE`];
  if (!file) return env[name] || undefined;
  if (env[name]) throw new Refusal(`${name} and ${name}_FILE must not both be set`);
  return readSecret(`${name}_FILE`, file);
}

function readSecret(name: string, file: string): string {
  let content: string;
  try {
    content = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw new Refusal(`${name} must be a file that can be read: ${(error as Error).message}`);
  }
  if (content === '') throw new Refusal(`${name} must be a file that holds the secret: ${file} is empty`);
  return content;
}

function parseValue(name: Name, raw: string | undefined): unknown {
  const { kind, default: fallback } = VARIABLES[name] as Variable<unknown>;
  const given = raw ?? fallback;
  if (given === undefined) return undefined;
  const result = kind.schema.safeParse(given);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue?.code === 'custom' && issue.message.startsWith('must '))
    throw new Refusal(`${name} ${issue.message}`);
  const shown = kind.hidden ? '' : `, not ${JSON.stringify(given.slice(0, 100))}`;
  throw new Refusal(`${name} must be ${kind.must}${shown}`);
}

/** What one variable demands of another; one that is there but bad is not called missing. */
function missing(given: ReadonlyMap<Name, string>): string[] {
  const vendor = (['OPENAI_BASE_URL', 'OPENAI_API_KEY'] as const).find((name) => given.has(name));
  const problems: string[] = [];
  if (given.get('STORE') === 'redis' && !given.has('REDIS_URL'))
    problems.push(`REDIS_URL must be ${VARIABLES.REDIS_URL.kind.must}, since STORE is redis`);
  if (vendor && !given.has('MODEL'))
    problems.push(`MODEL must be the model's id as its vendor spells it, since ${vendor} is set`);
  if (given.get('AUTH') !== 'jwt') return problems;
  const keys = Number(given.has('JWT_SECRET')) + Number(given.has('JWKS_URL'));
  if (keys === 0) problems.push('JWT_SECRET or JWKS_URL must be set with AUTH=jwt');
  if (keys === 2) problems.push('JWT_SECRET and JWKS_URL must not both be set: tokens are signed in one way');
  return problems;
}

function toConfig(values: Values, given: ReadonlyMap<Name, string>): Config {
  return new Config({
    port: values.PORT,
    host: values.HOST,
    // A plain `io(url)` begins by polling, whose requests a load balancer without stickiness would spread over the nodes.
    transports: values.STORE === 'redis' && !given.has('TRANSPORTS') ? ['websocket'] : values.TRANSPORTS,
    store: values.STORE,
    dataDir: values.DATA_DIR,
    redisUrl: values.REDIS_URL,
    vendor: toVendor(values),
    agentsDir: values.AGENTS_DIR,
    defaultAgent: values.DEFAULT_AGENT,
    auth: toAuth(values, given),
    corsOrigins: values.CORS_ORIGINS,
    trustProxy: values.TRUST_PROXY,
    maxSocketsPerIp: values.MAX_SOCKETS_PER_IP,
    maxTurns: values.MAX_TURNS,
    maxSessionsPerOwner: values.MAX_SESSIONS_PER_OWNER,
    maxTurnsPerOwner: values.MAX_TURNS_PER_OWNER,
    maxTokensPerDay: values.MAX_TOKENS_PER_DAY,
    adminToken: values.ADMIN_TOKEN,
    sessionTtlMs: values.SESSION_TTL,
    resumeWindowMs: values.RESUME_WINDOW,
    detachPolicy: values.DETACH_POLICY,
    detachGraceMs: values.DETACH_GRACE,
    detachedTurnLimitMs: values.DETACHED_TURN_LIMIT,
    turnTimeoutMs: values.TURN_TIMEOUT,
    modelFirstByteTimeoutMs: values.MODEL_FIRST_BYTE_TIMEOUT,
    modelIdleTimeoutMs: values.MODEL_IDLE_TIMEOUT,
    maxSteps: values.MAX_STEPS,
    toolTimeoutMs: values.TOOL_TIMEOUT,
    contextTokens: values.CONTEXT_TOKENS,
    flushIntervalMs: values.FLUSH_INTERVAL,
    drainTimeoutMs: values.DRAIN_TIMEOUT,
    logLevel: values.LOG_LEVEL,
    tracing: toTracing(values),
  });
}

function toTracing(values: Values): TracingConfig | undefined {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: whole } = values;
  const endpoint = whole ?? (base && `${base.replace(/\/+$/, '')}/v1/traces`);
  if (!endpoint) return undefined;
  return {
    endpoint,
    serviceName: values.OTEL_SERVICE_NAME,
    sampler: { kind: values.OTEL_TRACES_SAMPLER, ratio: values.OTEL_TRACES_SAMPLER_ARG },
  };
}

function toVendor(values: Values): Config['vendor'] {
  const { OPENAI_BASE_URL: url, OPENAI_API_KEY: apiKey, MODEL: model } = values;
  if (!model || (!url && !apiKey)) return undefined;
  return { baseUrl: (url ?? OPENAI_URL).replace(/\/+$/, ''), apiKey, model };
}

function toAuth(values: Values, given: ReadonlyMap<Name, string>): AuthConfig {
  if (values.AUTH === 'anonymous') {
    const ofTokens = ['JWT_SECRET', 'JWKS_URL', 'JWT_ISSUER', 'JWT_AUDIENCE'] as const;
    const ignored = given.has('AUTH') ? undefined : ofTokens.find((name) => given.has(name));
    return { mode: 'anonymous', ...(ignored && { ignored }) };
  }
  const { JWT_SECRET: secret, JWKS_URL: jwksUrl, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = values;
  return { mode: 'jwt', secret, jwksUrl, issuer, audience };
}

// ---- Helping -------------------------------------------------------------------------------------------

/** What `--help` prints: usage, every variable, examples. Lines are at most 110 characters wide. */
export function configHelp(): string {
  const variables = NAMES.flatMap((name) => {
    const { kind, default: fallback, meaning } = VARIABLES[name] as Variable<unknown>;
    const file = kind.secret ? ` (or ${name}_FILE)` : '';
    return [
      `  ${name}${file}${fallback === undefined ? '' : `  [${fallback}]`}`,
      `      ${meaning}`,
      `      ${kind.must}`,
    ];
  });
  return HELP.replace('<variables>', () => variables.join('\n'));
}

const HELP = `Usage: npm start            builds and starts the gateway
       npm run start:prod   starts what was built
       node dist/main.js --help

Everything is set by environment variables, with their [defaults]:

<variables>

An empty value counts as unset. A secret may come from a file, such as a Docker secret: NAME_FILE names it, and
a newline at its end does not count.

Examples:
  PORT=8080 npm start
  OPENAI_API_KEY_FILE=/run/secrets/openai MODEL=gpt-5 npm start
  OPENAI_BASE_URL=http://localhost:11434/v1 MODEL=llama3.2 npm start
  AUTH=jwt JWKS_URL=https://login.example/.well-known/jwks.json CORS_ORIGINS=https://app.example npm start
`;

/** The variables as a Markdown table. */
export function configMarkdown(): string {
  const rows = NAMES.map((name) => {
    const { kind, default: fallback, meaning } = VARIABLES[name] as Variable<unknown>;
    const names = kind.secret ? `\`${name}\`, \`${name}_FILE\`` : `\`${name}\``;
    return `| ${names} | ${fallback === undefined ? '' : `\`${fallback}\``} | ${kind.must} | ${meaning} |`;
  });
  return ['| variable | default | must be | meaning |', '| --- | --- | --- | --- |', ...rows, ''].join('\n');
}

// ---- Pieces --------------------------------------------------------------------------------------------

/** Milliseconds of an integer with ms, s, m, h or d; NaN for anything else. */
export function parseDuration(written: string): number {
  const [, count, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(written) ?? [];
  return Number(count) * (UNIT_MS[unit ?? ''] ?? NaN);
}

/**
 * An origin as browsers send it: lower case, without a default port. Other schemes than http and https are an
 * app's web view (`capacitor://localhost`).
 * @returns undefined if it is none: `null`, `*`, with a path, or with credentials
 */
export function normalizeOrigin(origin: string): string | undefined {
  const url = URL.parse(origin);
  if (!url?.host || url.username || url.password || url.search || url.hash) return undefined;
  if (url.pathname !== '/' && url.pathname !== '') return undefined;
  return `${url.protocol}//${url.host}`.toLowerCase();
}

function isPlainHttpUrl(value: string): boolean {
  const url = URL.parse(value);
  return url !== null && /^https?:$/.test(url.protocol) && !url.username && !url.password;
}

/** To which a path is added. */
function isBaseUrl(value: string): boolean {
  return isPlainHttpUrl(value) && !/[?#]/.test(value);
}

function isProxyList(value: string): boolean {
  if (/^\d+$/.test(value)) return Number(value) >= 1 && Number(value) <= 32;
  try {
    proxyAddr.compile(splitList(value));
    return splitList(value).length > 0;
  } catch {
    return false;
  }
}

/** The items between commas, trimmed, without empty ones. */
export function splitList(list: string): string[] {
  return list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function deepFreeze(value: object): void {
  for (const field of Object.values(value))
    if (typeof field === 'object' && field !== null) deepFreeze(field as object);
  Object.freeze(value);
}
