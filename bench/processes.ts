/** Starts and ends the bench's processes; whatever happens, none is left behind. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PROBE = new URL('probe.ts', import.meta.url).href;
const READY_TIMEOUT_MS = 60_000;
const STDERR_KEPT = 2_000;

const children = new Set<ChildProcess>();
const folders = new Set<string>();

export interface Started {
  child: ChildProcess;
  /** What it listens on. */
  url: string;
  /** The last of what it wrote to stderr, and to stdout. */
  output(): string;
  /** Milliseconds from its start until it was ready. */
  startMs: number;
  stop(): Promise<void>;
}

export interface StartOptions {
  env?: Record<string, string>;
  /** Loads the probe, and gives it a garbage collector that can be called. */
  probed?: boolean;
}

/** Starts a Node program that says over IPC, or as the gateway does on stdout, what it listens on. */
export async function startProgram(program: string, options: StartOptions = {}): Promise<Started> {
  const { PATH = '', TMPDIR } = process.env;
  const flags = options.probed ? ['--expose-gc', '--import', PROBE] : [];
  const begin = performance.now();
  const child = spawn(process.execPath, [...flags, join(ROOT, program)], {
    cwd: ROOT,
    env: { PATH, ...(TMPDIR && { TMPDIR }), NODE_ENV: 'production', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const { output, stop } = keep(child);
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${program} was not ready in time:\n${output()}`)),
      READY_TIMEOUT_MS,
    );
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`${program} exited with ${code ?? signal}:\n${output()}`));
    });
    const ready = (found: string): void => {
      clearTimeout(timer);
      resolve(found);
    };
    child.on('message', (message: { ready?: string }) => {
      if (message.ready !== undefined) ready(message.ready);
    });
    child.stdout?.on('data', () => {
      const found = /Mooring is ready: open (http:\/\/[^\s"]+)/.exec(output())?.[1];
      if (found) ready(found);
    });
  }).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { child, url: url.replace(/\/$/, ''), output, startMs: performance.now() - begin, stop };
}

/** Until it has ended, it is among those that are ended with this process. */
export function keep(child: ChildProcess): Pick<Started, 'output' | 'stop'> {
  children.add(child);
  let text = '';
  const read = (piece: Buffer): void => void (text = (text + piece.toString()).slice(-STDERR_KEPT));
  child.stdout?.on('data', read);
  child.stderr?.on('data', read);
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      text += String(error);
      children.delete(child);
      resolve();
    });
    child.once('exit', () => {
      children.delete(child);
      resolve();
    });
  });
  return {
    output: () => text,
    stop: () => {
      child.kill('SIGKILL');
      return exited;
    },
  };
}

/** One that nobody listens on just now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

let parent = tmpdir();

/** Where folders are made from now on. */
export function temporaryFoldersIn(folder: string): void {
  parent = folder;
}

/** Where contenders keep their data. */
export function temporaryFoldersParent(): string {
  return parent;
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(parent, 'mooring-bench-'));
  folders.add(folder);
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

/** In which the kernel counts CPU time of processes, on every machine that Node runs on. */
const CLOCK_TICK_MS = 10;

/**
 * CPU time that this machine spent on anything but this process and what it started, in ms; only differences
 * mean something, while the same children live. Undefined where the kernel does not say.
 */
export function foreignCpu(): number | undefined {
  const all = cpus().reduce((sum, { times: { user, nice, sys, irq } }) => sum + user + nice + sys + irq, 0);
  try {
    const own = [process.pid, ...[...children].flatMap(({ pid }) => pid ?? [])].map(cpuOf);
    return all - own.reduce((sum, ms) => sum + ms, 0);
  } catch {
    return undefined;
  }
}

/**
 * CPU time that this machine wanted and its host gave to others, in ms; only differences mean something. 0 where
 * the kernel does not say.
 */
export function stolenCpu(): number {
  try {
    // The eighth time of the line of all CPUs (proc(5)).
    return Number(readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/ +/)[8] ?? 0) * CLOCK_TICK_MS;
  } catch {
    return 0;
  }
}

function cpuOf(pid: number): number {
  // The name, in brackets, may hold anything; user and system time are the 12th and 13th field after it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
}

/** Ends all that was started, at once. */
export function endAll(): void {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) removeFolder(folder);
}
