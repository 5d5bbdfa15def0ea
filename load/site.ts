/** What scenarios play with: a model server, gateways, and processes of clients; all of it ends with the scenario. */
import { call } from '../bench/rpc.ts';
import type { Lateness, Usage } from '../bench/probe.ts';
import { removeFolder, startProgram, temporaryFolder, type Started } from '../bench/processes.ts';
import type { UpstreamStats } from '../bench/upstream.ts';

const LOOK_MS = 20;

/** The built gateway as a process. */
export class GatewayProcess {
  readonly #started: Started;

  constructor(started: Started) {
    this.#started = started;
  }

  get url(): string {
    return this.#started.url;
  }

  usage(): Promise<Usage> {
    return call(this.#started.child, 'usage');
  }

  /** After a garbage collection. */
  settled(): Promise<Usage> {
    return call(this.#started.child, 'settled');
  }

  /** Of its event loop, since the last question. */
  lateness(): Promise<Lateness> {
    return call(this.#started.child, 'lateness');
  }

  /** The status of its readiness; undefined once it does not answer any more. */
  async ready(): Promise<number | undefined> {
    try {
      const response = await fetch(`${this.url}/health/ready`, { headers: { connection: 'close' } });
      await response.arrayBuffer();
      return response.status;
    } catch {
      return undefined;
    }
  }

  /** One figure of its metrics. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const line = text.split('\n').find((row) => row.startsWith(`${name} `));
    return Number(line?.split(' ').at(-1));
  }

  /** Signals it. @returns its exit code, or the signal that it died of, when it has ended */
  signal(signal: 'SIGTERM'): Promise<number | string> {
    const { child } = this.#started;
    const ended = new Promise<number | string>((resolve) =>
      child.once('exit', (code, died) => resolve(code ?? died ?? 'unknown')),
    );
    child.kill(signal);
    return ended;
  }

  stop(): Promise<void> {
    return this.#started.stop();
  }
}

/** A process of clients, `load/clients.ts`. */
export class ClientsProcess {
  readonly #started: Started;

  constructor(started: Started) {
    this.#started = started;
  }

  call<Result>(method: string, order?: unknown): Promise<Result> {
    return call(this.#started.child, method, order, 600_000);
  }
}

export class Site {
  readonly say: (text: string) => void;
  readonly #stops: (() => Promise<void>)[] = [];
  #upstream: Started | undefined;

  /** @param say tells how far it is */
  constructor(say: (text: string) => void) {
    this.say = say;
  }

  /** A folder for a gateway's data, which several gateways may have after one another. */
  dataDir(): string {
    const folder = temporaryFolder();
    this.#stops.push(async () => removeFolder(folder));
    return folder;
  }

  async gateway(dataDir: string, env: Record<string, string> = {}): Promise<GatewayProcess> {
    this.#upstream ??= await this.#start('bench/upstream.ts');
    const started = await this.#start('dist/main.js', {
      PORT: '0',
      LOG_LEVEL: 'warn',
      DATA_DIR: dataDir,
      OPENAI_BASE_URL: this.#upstream.url,
      MODEL: 'load',
      // All clients come from one address here.
      MAX_SOCKETS_PER_IP: '100000',
      ...env,
    });
    return new GatewayProcess(started);
  }

  async clients(): Promise<ClientsProcess> {
    return new ClientsProcess(await this.#start('load/clients.ts'));
  }

  upstreamStats(): Promise<UpstreamStats> {
    if (!this.#upstream) throw new Error('there is no model server yet');
    return call(this.#upstream.child, 'stats');
  }

  async close(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
  }

  async #start(program: string, env?: Record<string, string>): Promise<Started> {
    const started = await startProgram(program, env ? { env, probed: true } : {});
    this.#stops.push(() => started.stop());
    return started;
  }
}

/** Waits until it holds. @returns milliseconds, or undefined where it did not within `patienceMs` */
export async function waitUntil(
  holds: () => boolean | Promise<boolean>,
  patienceMs: number,
): Promise<number | undefined> {
  const begin = performance.now();
  while (!(await holds())) {
    if (performance.now() - begin > patienceMs) return undefined;
    await pause(LOOK_MS);
  }
  return performance.now() - begin;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
