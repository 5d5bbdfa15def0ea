import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Baseline } from './baseline.ts';
import { StressClient } from './client.ts';
import { Gateway } from './gateway.ts';
import type { ClientLedger, Evidence, Health, StoredSession } from './ledgers.ts';
import { ModelServer } from './model.server.ts';
import { Nemesis, type Node } from './nemesis.ts';
import { LOSSES, type Phase, type Plan, type SessionPlan } from './plan.ts';
import { Proxy } from './proxy.ts';
import { Reader } from './reader.ts';
import { Redis } from './redis.ts';

const REST_TIMEOUT_MS = 45_000;
const BOUND_TIMEOUT_MS = 30_000;
/** A ping each 10 s, 10 s to answer, 30 s for the WebSocket's closing handshake, and what a busy machine adds. */
const PATIENCE_MS = 65_000;
const BASELINE_TIMEOUT_MS = 8_000;

export interface Figures {
  turns: number;
  tokens: number;
  reconnects: number;
  cuts: number;
  kills: number;
  stops: number;
  faults: number;
  /** Opens with a position, and those of them that were answered with exactly what was missed. */
  resumes: number;
  exact: number;
  catchUpMs: number[];
}

/** One gateway or several on a Redis, their clients, their network and their model, for as long as one plan is played. */
export class House {
  readonly #dataDir = mkdtempSync(join(tmpdir(), 'mooring-stress-'));
  readonly #nodes: readonly [Node, ...Node[]];
  readonly #nemesis: Nemesis;
  readonly #sessions: SessionPlan[] = [];
  readonly #ledgers: ClientLedger[] = [];
  readonly #readers: ClientLedger[] = [];
  readonly #stored: StoredSession[] = [];
  readonly #health: Health = { deaths: [], leftovers: [], notes: [] };
  #present: { client: StressClient; proxy: Proxy }[] = [];
  #past = { reconnects: 0, catchUpMs: [] as number[] };
  #abort = new AbortController();

  private readonly plan: Plan;
  private readonly model: ModelServer;
  private readonly redis: Redis | undefined;

  /** @param toRedis of each node */
  private constructor(
    plan: Plan,
    model: ModelServer,
    dist: string,
    redis: Redis | undefined,
    toRedis: readonly Proxy[],
  ) {
    this.plan = plan;
    this.model = model;
    this.redis = redis;
    const node = (number: number): Node => ({
      gateway: new Gateway(dist, {
        STORE: plan.store,
        ...(toRedis[number]
          ? { REDIS_URL: `redis://127.0.0.1:${toRedis[number].port}` }
          : { DATA_DIR: this.#dataDir }),
        OPENAI_BASE_URL: model.url,
        MODEL: 'stress',
        MAX_SOCKETS_PER_IP: '100000',
        MODEL_FIRST_BYTE_TIMEOUT: '4s',
        MODEL_IDLE_TIMEOUT: '4s',
        DRAIN_TIMEOUT: '1500ms',
        ...plan.env,
      }),
      toRedis: toRedis[number],
    });
    const others = Array.from({ length: plan.nodes - 1 }, (_, index) => node(index + 1));
    this.#nodes = [node(0), ...others];
    this.#nemesis = new Nemesis(this.#nodes, redis);
    process.once('exit', this.#removeData);
  }

  /** Everything started, nobody connected. */
  static async open(plan: Plan, dist: string): Promise<House> {
    const model = await ModelServer.listen(plan);
    const redis = plan.store === 'redis' ? await Redis.start() : undefined;
    const toRedis: Proxy[] = [];
    for (let number = 0; redis && number < plan.nodes; number += 1)
      toRedis.push(await Proxy.listen(() => redis.port));
    const house = new House(plan, model, dist, redis, toRedis);
    try {
      await Promise.all(house.#gateways.map((gateway) => gateway.start()));
    } catch (error) {
      await house.close();
      throw error;
    }
    return house;
  }

  /** Plays all phases. What could not be brought to rest, or asked, is in the evidence as a leftover. */
  async play(): Promise<Evidence> {
    try {
      await this.#playPhases();
    } catch (error) {
      // Expected of a gateway that died meanwhile, which the evidence then says as well.
      this.#abort.signal.throwIfAborted();
      this.#health.leftovers.push(`the run could not be finished: ${String(error)}`);
    }
    this.#health.deaths.push(...this.#deaths);
    this.#health.notes.push(...this.#nemesis.skipped);
    return this.evidence();
  }

  evidence(): Evidence {
    return {
      plan: this.plan,
      sessions: this.#sessions,
      clients: this.#ledgers,
      readers: this.#readers,
      calls: this.model.calls,
      stored: this.#stored,
      blows: this.#nemesis.records,
      health: this.#health,
    };
  }

  figures(): Figures {
    const clients = this.#present.map(({ client }) => client);
    const records = this.#ledgers.flatMap((ledger) => ledger.records);
    const resumed = records.flatMap((record) =>
      record.kind === 'opened' && record.asked ? [record.opened] : [],
    );
    return {
      turns: this.model.calls.filter(({ endedAt, step }) => endedAt !== undefined && step === 0).length,
      tokens: this.model.tokens,
      reconnects: this.#past.reconnects + clients.reduce((sum, { reconnects }) => sum + reconnects, 0),
      cuts: records.filter(({ kind }) => kind === 'cut').length,
      kills: this.#nemesis.kills,
      stops: this.#nemesis.stops,
      faults: this.model.faults + this.#nemesis.others,
      resumes: resumed.length,
      exact: resumed.filter(({ recovered }) => recovered).length,
      catchUpMs: [...this.#past.catchUpMs, ...clients.flatMap(({ catchUps }) => catchUps)],
    };
  }

  async #playPhases(): Promise<void> {
    const baseline = await Baseline.of(this.#gateways);
    for (const phase of this.plan.phases) {
      const rested = await this.#playPhase(phase);
      await this.#leave();
      if (!rested || this.#deaths.length > 0) return;
      if (phase === this.plan.phases.at(-1)) await this.#compare(baseline);
      await baseline.noteHeap();
    }
    this.#health.leftovers.push(...baseline.growth());
  }

  get output(): string {
    return this.#gateways.map(({ output }, node) => `node ${node}:\n${output}`).join('\n');
  }

  get #gateways(): Gateway[] {
    return this.#nodes.map(({ gateway }) => gateway);
  }

  get #deaths(): string[] {
    return this.#gateways.flatMap(({ deaths }) => deaths);
  }

  /** The port of the next node each time, as of a load balancer without stickiness that knows nothing of their health. */
  #hops(first: number): () => number {
    let hop = first;
    return () => this.#gateways[hop++ % this.plan.nodes]?.port ?? 0;
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#leave();
    await Promise.all(this.#gateways.map((gateway) => gateway.end('SIGKILL')));
    for (const { toRedis } of this.#nodes) await toRedis?.close();
    await this.redis?.stop();
    await this.model.close();
    process.off('exit', this.#removeData);
    this.#removeData();
  }

  readonly #removeData = (): void => rmSync(this.#dataDir, { recursive: true, force: true });

  /** True where everything came to rest and could be read. */
  async #playPhase(phase: Phase): Promise<boolean> {
    this.model.calm = false;
    this.#sessions.push(...phase.sessions);
    const loses = phase.blows.some(({ do: kind }) => LOSSES.has(kind));
    for (const session of phase.sessions) {
      for (const plan of session.clients) {
        const proxy = await Proxy.listen(this.#hops(this.#present.length));
        const client = new StressClient(plan, session, proxy, loses);
        this.#present.push({ client, proxy });
        this.#ledgers.push(client.ledger);
      }
    }
    const clients = this.#present.map(({ client }) => client);
    if (!(await this.#until(() => clients.every(({ atRest }) => atRest), BOUND_TIMEOUT_MS))) {
      this.#health.leftovers.push(
        `not all clients could be bound:\n${clients.filter((c) => !c.atRest).join('\n')}`,
      );
      return false;
    }
    await this.#perform(phase);
    await this.#nemesis.heal();
    // Twice: a client may be cut off by what is healed, and what was stalled ends when it is.
    for (const { proxy } of this.#present) proxy.heal(!this.plan.patient);
    this.model.calm = true;
    if (!(await this.#until(() => clients.every(({ atRest }) => atRest), REST_TIMEOUT_MS))) {
      const restless = clients.filter(({ atRest }) => !atRest).join('\n');
      this.#health.leftovers.push(
        `not at rest ${REST_TIMEOUT_MS / 1_000} s after the last act:\n${restless}`,
      );
      return false;
    }
    return this.#read(phase.sessions);
  }

  async #perform(phase: Phase): Promise<void> {
    const sessions = new Map(phase.sessions.map((session) => [session.number, session]));
    const steps = [
      ...this.#present.flatMap(({ client }) =>
        client.plan.acts.map((act) => ({ at: act.at, run: () => client.perform(act, sessions) })),
      ),
      ...phase.blows.map((blow) => ({ at: blow.at, run: () => this.#nemesis.strike(blow) })),
    ].sort((a, b) => a.at - b.at);
    const begun = performance.now();
    for (const { at, run } of steps) {
      const wait = at - (performance.now() - begun);
      if (wait > 1) await sleep(wait, undefined, { signal: this.#abort.signal });
      run();
    }
  }

  async #read(sessions: SessionPlan[]): Promise<boolean> {
    for (const session of sessions) {
      const { url } = this.#gateways[session.number % this.plan.nodes] ?? this.#nodes[0].gateway;
      const reader = new Reader(url, session);
      try {
        this.#readers.push(await reader.newcomer());
        const first = this.#firstOpened(session);
        if (first) this.#readers.push(await reader.returning(first));
        this.#stored.push(await reader.stored());
      } catch (error) {
        this.#health.leftovers.push(`session ${session.number} could not be read: ${String(error)}`);
        return false;
      } finally {
        reader.close();
      }
    }
    return true;
  }

  #firstOpened({ number }: SessionPlan) {
    const ledger = this.#ledgers.find(({ session }) => session === number);
    const first = ledger?.records.find((record) => record.kind === 'opened');
    return first?.kind === 'opened' ? first.opened : undefined;
  }

  /** Everybody goes; where there is more to come, or memory keeps what is not ended, sessions end. */
  async #leave(): Promise<void> {
    const present = this.#present;
    this.#present = [];
    const last = new Map(present.map(({ client }) => [client.session.number, client]));
    if (this.#gateways.some(({ running }) => running) && !this.#abort.signal.aborted) {
      await Promise.all([...last.values()].map((client) => client.endSession()));
    }
    for (const { client } of present) {
      this.#past.reconnects += client.reconnects;
      this.#past.catchUpMs.push(...client.catchUps);
      client.close();
    }
    // A closed connection's goodbye is still on its way; those that vanished are the gateway's to notice.
    await sleep(50);
    if (!this.plan.patient || this.#abort.signal.aborted) await closeAll(present);
    else this.#vanished.push(...present);
  }

  readonly #vanished: { proxy: Proxy }[] = [];

  async #compare(baseline: Baseline): Promise<void> {
    let left: string[] = [];
    const timeout = this.plan.patient ? PATIENCE_MS : BASELINE_TIMEOUT_MS;
    const clean = await this.#until(async () => {
      this.model.closeIdle();
      left = await baseline
        .leftovers(this.model, this.plan.patient)
        .catch((error: unknown) => [String(error)]);
      return left.length === 0;
    }, timeout);
    if (!clean) this.#health.leftovers.push(...left);
    await closeAll(this.#vanished.splice(0));
  }

  async #until(holds: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean> {
    const end = performance.now() + timeoutMs;
    while (!(await holds())) {
      if (performance.now() > end || this.#deaths.length > 0) return false;
      await sleep(30, undefined, { signal: this.#abort.signal });
    }
    return true;
  }
}

async function closeAll(lines: { proxy: Proxy }[]): Promise<void> {
  await Promise.all(lines.map(({ proxy }) => proxy.close()));
}
