import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './ports.ts';

const PROBE = fileURLToPath(new URL('./probe.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** A start takes a second or two; on a machine that does much else, several. */
const START_TIMEOUT_MS = 40_000;
const PROBE_TIMEOUT_MS = 10_000;
const OUTPUT_KEPT = 20_000;

type Question = { ask: 'resources' | 'memory' } | { ask: 'clock'; shiftMs: number };

export type ProbeQuestion = Question & { id: number };

export interface ProbeAnswer {
  id: number;
  /** How many active handles and requests of each type. */
  resources: Record<string, number>;
  heapBytes: number;
}

/** Every process that was started and has not ended: none must outlive the run. */
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** Where libfaketime usually is; without it the probe moves the clock as JavaScript sees it. */
const FAKETIME = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/faketime/libfaketimeMT.so.1',
  '/usr/local/lib/faketime/libfaketimeMT.so.1',
].find(existsSync);

export const hasFaketime = FAKETIME !== undefined;

/** The built gateway as a process that is started, ended and started again, on one port and one store. */
export class Gateway {
  /** What it wrote, the last of it. */
  output = '';
  /** Ends that nobody asked for. */
  readonly deaths: string[] = [];
  port = 0;
  #child?: ChildProcess;
  #expected = false;
  #questions = 0;

  private readonly dist: string;
  private readonly env: Record<string, string>;

  /** @param dist the folder of the built gateway, or of a mutated copy */
  constructor(dist: string, env: Record<string, string>) {
    this.dist = dist;
    this.env = env;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** @param shiftMs how far its clock is off from the beginning */
  async start(shiftMs = 0): Promise<void> {
    if (this.port === 0) this.port = await freePort();
    const { PATH = '' } = process.env;
    const clock: Record<string, string> = {};
    if (shiftMs !== 0 && FAKETIME) {
      Object.assign(clock, {
        LD_PRELOAD: FAKETIME,
        FAKETIME: `${shiftMs > 0 ? '+' : ''}${shiftMs / 1_000}`,
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      });
    } else if (shiftMs !== 0) clock['STRESS_CLOCK_SHIFT_MS'] = String(shiftMs);
    const child = spawn(process.execPath, ['--expose-gc', '--import', PROBE, join(this.dist, 'main.js')], {
      cwd: ROOT,
      env: {
        PATH,
        PORT: String(this.port),
        AGENTS_DIR: join(ROOT, 'agents'),
        LOG_LEVEL: 'info',
        ...this.env,
        ...clock,
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    children.add(child);
    this.#expected = false;
    this.#child = child;
    await this.#ready(child);
  }

  /** Ends it by a signal; gives its exit code, or the signal that it died of. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | string> {
    const child = this.#child;
    if (!child) return 'not running';
    this.#expected = true;
    const ended = new Promise<number | string>((resolve) =>
      child.once('exit', (code, died) => resolve(code ?? died ?? 'unknown')),
    );
    child.kill(signal);
    return ended;
  }

  /** It does nothing, and keeps its connections, until it is thawed. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Full: no file may grow or be written any more; else as much as it likes. False where that cannot be set. */
  limitDisk(full: boolean): boolean {
    const { pid } = this.#child ?? {};
    if (pid === undefined) return false;
    try {
      execFileSync('prlimit', ['--pid', String(pid), `--fsize=${full ? '0' : 'unlimited'}:`], {
        stdio: 'ignore',
      });
      return true;
    } catch {
      return false;
    }
  }

  async moveClock(shiftMs: number): Promise<void> {
    await this.#ask({ ask: 'clock', shiftMs });
  }

  resources(): Promise<ProbeAnswer> {
    return this.#ask({ ask: 'resources' });
  }

  /** After everything that is garbage was collected. */
  memory(): Promise<ProbeAnswer> {
    return this.#ask({ ask: 'memory' });
  }

  async health(): Promise<number> {
    const response = await fetch(`${this.url}/health/ready`, { headers: { connection: 'close' } });
    await response.arrayBuffer();
    return response.status;
  }

  /** One figure of its metrics, all its labels added up. */
  async metric(name: string): Promise<number> {
    const response = await fetch(`${this.url}/metrics`, { headers: { connection: 'close' } });
    const lines = (await response.text()).split('\n').filter((line) => new RegExp(`^${name}[ {]`).test(line));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  #ready(child: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      const slow = setTimeout(
        () => reject(new Error(`the gateway did not start:\n${this.output}`)),
        START_TIMEOUT_MS,
      );
      const read = (piece: Buffer): void => {
        const text = piece.toString();
        this.output = (this.output + text).slice(-OUTPUT_KEPT);
        if (!text.includes('Mooring is ready')) return;
        clearTimeout(slow);
        resolve();
      };
      child.stdout?.on('data', read);
      child.stderr?.on('data', read);
      child.once('exit', (code, signal) => {
        clearTimeout(slow);
        children.delete(child);
        if (this.#child === child) this.#child = undefined;
        const how = `ended by ${signal ?? `exit code ${code}`}:\n${this.output.slice(-2_000)}`;
        if (!this.#expected) this.deaths.push(how);
        reject(new Error(`the gateway ${how}`));
      });
    });
  }

  #ask(question: Question): Promise<ProbeAnswer> {
    const child = this.#child;
    const id = (this.#questions += 1);
    return new Promise((resolve, reject) => {
      if (!child?.connected) return reject(new Error('the gateway does not run'));
      const done = (): void => {
        clearTimeout(timer);
        child.off('message', hear);
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error('the gateway does not answer the probe: its event loop stands'));
      }, PROBE_TIMEOUT_MS);
      const hear = (message: unknown): void => {
        const answer = message as ProbeAnswer;
        if (answer.id !== id) return;
        done();
        resolve(answer);
      };
      child.on('message', hear);
      child.send({ ...question, id });
    });
  }
}
