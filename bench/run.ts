/** What scenarios measure with: the upstream, the contenders and the clients, each started when it is needed. */
import { recipeOf, REDIS_NODES, type Contender } from './contenders.ts';
import { DiskWatch } from './disk.ts';
import type { Answered, AnswersOrder, Connected, ConnectOrder } from './load.ts';
import type { Usage } from './probe.ts';
import {
  foreignCpu,
  removeFolder,
  startProgram,
  stolenCpu,
  temporaryFolder,
  temporaryFoldersParent,
  type Started,
} from './processes.ts';
import { RedisServer, type RedisUsage } from './redis.ts';
import { call } from './rpc.ts';
import type { Size } from './sizes.ts';
import type { UpstreamStats } from './upstream.ts';

/** Part of each warning that leaves nothing of a measurement standing. */
export const NOT_VALID = 'figures not valid';

/** The upstream wrote its paced tokens this late, or this slowly: what was measured is the machine. */
const LATE_P99_MS = 25;
const PACE = 0.97;
/** The clients were this late: latencies are theirs. */
const LOAD_LATE_P99_MS = 20;
/** Cores that others may use meanwhile. */
const FOREIGN_CORES = 0.3;
/**
 * Cores that the machine's host may keep from it meanwhile: of CPU time and medians it changes little, but a
 * hundredth decides what the 99th percentile is.
 */
const STOLEN_CORES = 0.25;
const STOLEN_CORES_OF_TAILS = 0.02;
/** Of the time, how much the disk may be stuck where a hundredth decides. */
const DISK_STALLED = 0.005;
/** A contender that needs this much longer than the upstream's pace allows does not keep up. */
const TOO_LONG = 1.15;
/** One that uses this many cores has no idle moment left on its one thread of JavaScript. */
export const SATURATED_CORES = 1;

/** A contender: one process, or several that share a Redis. */
export class Server {
  readonly contender: Contender;
  readonly dataDir: string;
  readonly redis: RedisServer | undefined;
  readonly #nodes: readonly Started[];
  readonly #wire: ConnectOrder['wire'];

  constructor(
    contender: Contender,
    dataDir: string,
    nodes: readonly Started[],
    wire: ConnectOrder['wire'],
    redis: RedisServer | undefined,
  ) {
    this.contender = contender;
    this.dataDir = dataDir;
    this.redis = redis;
    this.#nodes = nodes;
    this.#wire = wire;
  }

  /** Clients take turns with the nodes. */
  get at(): Pick<ConnectOrder, 'wire' | 'urls'> {
    return { wire: this.#wire, urls: this.#nodes.map(({ url }) => url) };
  }

  get url(): string {
    return this.#nodes[0]?.url ?? '';
  }

  get nodes(): number {
    return this.#nodes.length;
  }

  get startMs(): number {
    return this.#nodes[0]?.startMs ?? 0;
  }

  /** Of all its nodes together; what its Redis uses is not in it. */
  usage(): Promise<Usage> {
    return this.#sum('usage');
  }

  /** After a garbage collection. */
  settled(): Promise<Usage> {
    return this.#sum('settled');
  }

  /** As kill -9 does. */
  kill(node: number): Promise<void> {
    return this.#nodes[node]?.stop() ?? Promise.resolve();
  }

  output(): string {
    return this.#nodes.map((node) => node.output()).join('\n');
  }

  async #sum(method: 'usage' | 'settled'): Promise<Usage> {
    const usages = await Promise.all(this.#nodes.map(({ child }) => call<Usage>(child, method)));
    return usages.reduce((sum, each) => ({
      cpu: sum.cpu + each.cpu,
      heap: sum.heap + each.heap,
      external: sum.external + each.external,
      rss: sum.rss + each.rss,
      redisCommands: sum.redisCommands + each.redisCommands,
    }));
  }
}

/** The clients' process. */
export class Load {
  readonly #started: Started;

  constructor(started: Started) {
    this.#started = started;
  }

  connect(order: ConnectOrder): Promise<Connected> {
    return call(this.#started.child, 'connect', order);
  }

  answers(order: AnswersOrder): Promise<Answered> {
    return call(this.#started.child, 'answers', order);
  }

  close(): Promise<void> {
    return call(this.#started.child, 'close');
  }

  /** Calls back when the clients say so the next time. */
  once(what: 'amid', then: () => void): void {
    const { child } = this.#started;
    const hear = (message: Partial<Record<string, true>>): void => {
      if (!message[what]) return;
      child.off('message', hear);
      then();
    };
    child.on('message', hear);
  }

  call<Result>(method: string, args?: unknown): Promise<Result> {
    return call(this.#started.child, method, args);
  }
}

export interface Streamed extends Cost {
  answered: Answered;
}

interface Cost {
  upstream: UpstreamStats;
  /** Of the server, µs per token that the upstream sent. */
  cpuPerToken: number;
  /** CPU time of the server per time, in cores. */
  busy: number;
  /** What its Redis had to do, by token that the upstream sent; where it has one. */
  redis?: { cpu: number; commands: number; calls: number };
}

/** One measurement: what it was of, and everything that speaks against it. */
export class Run {
  readonly size: Size;
  readonly warnings: string[] = [];
  lostAnswers = 0;
  readonly #upstream: Started;
  readonly #redisUrl: string | undefined;
  readonly #hasTails: boolean;

  /** @param hasTails its figures are those of the slowest hundredth */
  constructor(size: Size, upstream: Started, redisUrl: string | undefined, hasTails: boolean) {
    this.size = size;
    this.#upstream = upstream;
    this.#redisUrl = redisUrl;
    this.#hasTails = hasTails;
  }

  /** Starts a contender and the clients' process, and ends them when `act` has settled. */
  async against<Result>(
    contender: Contender,
    act: (server: Server, load: Load) => Promise<Result>,
    prepare: (dataDir: string) => Promise<void> = async () => undefined,
  ): Promise<Result> {
    const dataDir = temporaryFolder();
    const stops: (() => Promise<void>)[] = [];
    try {
      await prepare(dataDir);
      const count = REDIS_NODES[contender];
      const redis = count === undefined ? undefined : await RedisServer.start(true);
      if (redis) stops.push(() => redis.stop());
      const surroundings = {
        upstreamUrl: this.#upstream.url,
        redisUrl: redis?.url ?? this.#redisUrl,
        dataDir,
      };
      const { wire } = recipeOf(contender, { ...surroundings, node: 0 });
      const nodes: Started[] = [];
      for (let node = 0; node < (count ?? 1); node += 1) {
        const { program, env } = recipeOf(contender, { ...surroundings, node });
        const started = await startProgram(program, { env, probed: true });
        stops.push(() => started.stop());
        nodes.push(started);
      }
      const server = new Server(contender, dataDir, nodes, wire, redis);
      const load = await startProgram('bench/load.ts');
      stops.push(() => load.stop());
      return await act(server, new Load(load)).catch((error: unknown) => {
        throw new Error(`${(error as Error).message}\n${server.output()}`.trim(), { cause: error });
      });
    } finally {
      await Promise.all(stops.map((stop) => stop()));
      removeFolder(dataDir);
    }
  }

  /** Lets the connected clients ask, and tells what that cost the server. */
  async stream(server: Server, load: Load, order: AnswersOrder): Promise<Streamed> {
    const { result: answered, ...cost } = await this.#during(server, () => load.answers(order));
    this.#judge(order, answered, cost, server.nodes);
    return { answered, ...cost };
  }

  /**
   * The same, of a window in the middle of the answers: no turn begins or ends in it.
   * @param skipMs from the first ask until the window, in milliseconds
   */
  async streamWindow(
    server: Server,
    load: Load,
    order: AnswersOrder,
    { skipMs, windowMs }: { skipMs: number; windowMs: number },
  ): Promise<Streamed> {
    const answering = load.answers(order);
    answering.catch(() => undefined);
    await pause(skipMs);
    const { result: _, ...cost } = await this.#during(server, () => pause(windowMs));
    const answered = await answering;
    this.#judge(order, answered, cost, server.nodes);
    return { answered, ...cost };
  }

  /** What the server spends while `act` goes on. */
  async #during<Result>(server: Server, act: () => Promise<Result>): Promise<Cost & { result: Result }> {
    await call(this.#upstream.child, 'reset');
    const before = await server.usage();
    const redisBefore = await server.redis?.usage();
    const begin = performance.now();
    const result = await this.alone(act);
    const elapsed = performance.now() - begin;
    const after = await server.usage();
    const redisAfter = await server.redis?.usage();
    const upstream = await call<UpstreamStats>(this.#upstream.child, 'stats');
    const cpu = after.cpu - before.cpu;
    const commands = after.redisCommands - before.redisCommands;
    const redis = perToken(redisBefore, redisAfter, commands, upstream.tokens);
    return {
      result,
      upstream,
      cpuPerToken: cpu / upstream.tokens,
      busy: cpu / 1_000 / elapsed,
      ...(redis && { redis }),
    };
  }

  #judge(
    { ask, times = 1, spreadMs = 0 }: AnswersOrder,
    answered: Answered,
    { upstream, busy }: Cost,
    nodes: number,
  ): void {
    this.lost(answered.lost, answered.answers);
    if (ask.rate === 0) return;
    const asked = spreadMs + (times * ask.tokens * 1_000) / ask.rate;
    if (upstream.lateP99 > LATE_P99_MS || upstream.pace < PACE) {
      this.warn(
        `upstream fell behind: ${NOT_VALID} (tokens ${ms(upstream.lateP99)} late at the 99th percentile, ` +
          `${Math.round(upstream.pace * 100)} % of the pace)`,
      );
    }
    if (answered.lateP99 > LOAD_LATE_P99_MS)
      this.warn(`the clients fell behind: ${ms(answered.lateP99)} late at the 99th percentile`);
    if (answered.ms > asked * TOO_LONG + 500)
      this.warn(`it did not keep up: ${ms(answered.ms)} for answers of ${ms(asked)}`);
    if (busy >= SATURATED_CORES * nodes)
      this.warn(`it was saturated: ${busy.toFixed(2)} cores, so that its CPU a token is flattered`);
  }

  /** Whether the machine had other work than this bench while `act` went on is part of the result. */
  async alone<Result>(act: () => Promise<Result>): Promise<Result> {
    const before = foreignCpu();
    const stolenBefore = stolenCpu();
    const disk = this.#hasTails ? new DiskWatch(temporaryFoldersParent()) : undefined;
    const begin = performance.now();
    const result = await act().finally(() => disk?.stop());
    const elapsed = performance.now() - begin;
    const stalled = (disk?.stalledMs ?? 0) / elapsed;
    if (stalled > DISK_STALLED)
      this.warn(`the disk was stuck for ${(stalled * 100).toFixed(1)} % of the time: ${NOT_VALID}`);
    const stolen = (stolenCpu() - stolenBefore) / elapsed;
    if (stolen > (this.#hasTails ? STOLEN_CORES_OF_TAILS : STOLEN_CORES))
      this.warn(`the host held this machine up by ${stolen.toFixed(2)} cores: ${NOT_VALID}`);
    const after = foreignCpu();
    if (before === undefined || after === undefined) return result;
    const cores = (after - before) / elapsed;
    if (cores > FOREIGN_CORES)
      this.warn(`other work took ${cores.toFixed(1)} cores of this machine: ${NOT_VALID}`);
    return result;
  }

  lost(answers: number, of: number): void {
    this.lostAnswers += answers;
    if (answers > 0) this.warn(`${answers} of ${of} answers lost tokens`);
  }

  /** Something that speaks against the figures. */
  warn(text: string): void {
    if (!this.warnings.includes(text)) this.warnings.push(text);
  }
}

function perToken(
  before: RedisUsage | undefined,
  after: RedisUsage | undefined,
  commands: number,
  tokens: number,
): Cost['redis'] {
  if (!before || !after) return undefined;
  return {
    cpu: (after.cpu - before.cpu) / tokens,
    commands: commands / tokens,
    calls: (after.calls - before.calls) / tokens,
  };
}

function ms(value: number): string {
  return value < 1_000 ? `${value.toFixed(1)} ms` : `${(value / 1_000).toFixed(1)} s`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
