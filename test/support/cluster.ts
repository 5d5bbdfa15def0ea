import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Proxy } from '../../stress/proxy.ts';
import type { OpenedSession } from '../../src/protocol.js';
import { until } from './channel.js';
import { newCredentials, TestClient } from './client.js';
import type { Guest } from './guest.js';
import { gatewayProcess, type GatewayProcess } from './gateway.process.js';
import { onDispose, temporaryDirectory } from './gateway.js';
import { startOpenAiServer, type VendorCall } from './openai.server.js';
import { RedisServer } from './redis.server.js';

const WITNESS = fileURLToPath(new URL('./tool.witness.mjs', import.meta.url));

export interface ClusterOptions {
  nodes?: number;
  env?: Record<string, string>;
  /** Answers each call of the model; without it they wait for the test. */
  answer?: (call: VendorCall) => void;
  /** Where a node finds Redis, if not where it is. */
  redisUrl?: (node: number) => string;
  redis?: RedisServer;
}

export interface Talk {
  sessionId: string;
  key: string;
}

/** Built gateways as processes on one real Redis, and a model server; the test ends, freezes and starts them. */
export class Cluster {
  readonly nodes: GatewayProcess[] = [];

  private constructor(
    readonly redis: RedisServer,
    readonly vendor: Awaited<ReturnType<typeof startOpenAiServer>>,
    readonly env: Record<string, string>,
    private readonly options: ClusterOptions,
    private readonly witness: string,
  ) {}

  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const redis = options.redis ?? (await RedisServer.start());
    if (!options.redis) onDispose(() => redis.stop());
    const vendor = await startOpenAiServer(options.answer);
    onDispose(() => vendor.stop());
    const witness = join(await temporaryDirectory(), 'tools');
    await writeFile(witness, '');
    const env = {
      STORE: 'redis',
      OPENAI_BASE_URL: vendor.url,
      MODEL: 'some-model',
      DRAIN_TIMEOUT: '5s',
      ADMIN_TOKEN: 'an-admin-token-for-tests',
      TOOL_WITNESS: witness,
      ...options.env,
    };
    const cluster = new Cluster(redis, vendor, env, options, witness);
    await Promise.all(Array.from({ length: options.nodes ?? 2 }, (_, index) => cluster.startNode(index)));
    return cluster;
  }

  /** @param port that of its predecessor, for a node that comes back */
  async startNode(index: number, port = '0'): Promise<GatewayProcess> {
    const url = this.options.redisUrl?.(index) ?? this.redis.url;
    const node = await gatewayProcess({ ...this.env, REDIS_URL: url, PORT: port }, ['--import', WITNESS]);
    onDispose(async () => {
      if (process.env['TEST_LOG_LEVEL']) process.stderr.write(node.output());
      return node.kill('SIGKILL');
    });
    this.nodes[index] = node;
    return node;
  }

  node(index: number): GatewayProcess {
    const node = this.nodes[index];
    if (!node) throw new Error(`there is no node ${index}`);
    return node;
  }

  async client(index: number): Promise<TestClient> {
    const client = new TestClient(this.node(index).url);
    onDispose(() => client.close());
    await client.connected();
    return client;
  }

  /** A socket on a node, bound to a session, which is made where there is none. */
  async join(
    index: number,
    talk: Talk = newCredentials(),
  ): Promise<{ client: TestClient; opened: OpenedSession; talk: Talk }> {
    const client = await this.client(index);
    return { client, opened: await client.open({ ...talk, create: true }), talk };
  }

  /** A port that leads to another node with each connection, as a load balancer without stickiness. */
  async balancer(): Promise<Proxy> {
    let next = 0;
    const proxy = await Proxy.listen(() => {
      next += 1;
      return portOf(this.node(next % this.nodes.length).url);
    });
    onDispose(() => proxy.close());
    return proxy;
  }

  async ready(index: number): Promise<boolean> {
    const { status } = await fetch(`${this.node(index).url}/health/ready`);
    return status === 200;
  }

  async untilReady(): Promise<void> {
    await until(async () => {
      const all = await Promise.all(this.nodes.map((_, index) => this.ready(index)));
      return all.every(Boolean);
    }, 'all nodes to be ready');
  }

  async admin<T>(index: number, path = ''): Promise<T> {
    const { ADMIN_TOKEN: token = '' } = this.env;
    const response = await fetch(`${this.node(index).url}/admin/sessions${path}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return (await response.json()) as T;
  }

  /** The tool calls that were run: the process, and the call's id. */
  async toolRuns(): Promise<{ pid: number; callId: string }[]> {
    const lines = (await readFile(this.witness, 'utf8')).trim().split('\n').filter(Boolean);
    return lines.map((line) => {
      const [pid = '', callId = ''] = line.split(' ');
      return { pid: Number(pid), callId };
    });
  }
}

/** Repeated until it is acknowledged, whatever becomes of the connection, as every client does. */
export async function sendUntilAccepted(guest: Guest, text: string): Promise<void> {
  const messageId = randomUUID();
  while (!guest.accepted.some((each) => each.messageId === messageId)) {
    await guest.settled();
    guest.send(text, { messageId });
    await until(() => !guest.waits, 'an answer to a send');
  }
}

export function portOf(url: string): number {
  return Number(new URL(url).port);
}

/** Of figures in milliseconds: how they are spread, in one line. */
export function spread(name: string, figures: readonly number[]): string {
  const sorted = figures.toSorted((a, b) => a - b);
  const at = (part: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN).toFixed(0);
  return `${name}: ${sorted.length} of them, median ${at(0.5)} ms, 90 % ${at(0.9)} ms, 99 % ${at(0.99)} ms, most ${at(1)} ms`;
}

/** Figures are for whoever runs the tests: no machine's speed is a promise. */
export function report(line: string): void {
  process.stderr.write(`      ${line}\n`);
}
