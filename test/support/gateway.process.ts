import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface GatewayProcess {
  url: string;
  /** What it wrote so far, both streams. */
  output(): string;
  /** Ends it by a signal; gives its exit code, or the signal that it died of. */
  kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>;
  /** Its exit code, or the signal that it died of, once it has ended by whatever. */
  exited(): Promise<number | NodeJS.Signals>;
  pid: number;
  /** It stands still, and keeps its connections, until it is thawed. */
  freeze(): void;
  thaw(): void;
}

/** What a start that must fail said, and its exit code. */
export async function failingStart(
  env: Record<string, string>,
): Promise<{ code: number | null; stderr: string }> {
  const child = start(env);
  let stderr = '';
  child.stderr?.on('data', (piece: Buffer) => (stderr += piece.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stderr };
}

/**
 * The built gateway as a process of its own, as a deployment runs it.
 * @param flags Node's own
 */
export async function gatewayProcess(
  env: Record<string, string>,
  flags: readonly string[] = [],
): Promise<GatewayProcess> {
  const child = start(env, flags);
  let output = '';
  const url = await new Promise<string>((resolve, reject) => {
    const read = (piece: Buffer): void => {
      output += piece.toString();
      const found = /Mooring is ready: open (http:\/\/[^\s"]+)/.exec(output)?.[1];
      if (found) resolve(found);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('exit', (code) => reject(new Error(`the gateway exited with ${code}:\n${output}`)));
  });
  const exited = (): Promise<number | NodeJS.Signals> =>
    new Promise((resolve) => {
      const ended = child.exitCode ?? child.signalCode;
      if (ended !== null) return resolve(ended);
      child.once('exit', (code, died) => resolve(code ?? died ?? 'SIGKILL'));
    });
  return {
    url,
    output: () => output,
    exited,
    pid: child.pid ?? 0,
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
    kill: (signal) => {
      const end = exited();
      child.kill(signal);
      return end;
    },
  };
}

function start(env: Record<string, string>, flags: readonly string[] = []): ChildProcess {
  if (!existsSync(MAIN)) throw new Error('dist/main.js is missing: run npm run build first');
  const { PATH = '' } = process.env;
  return spawn(process.execPath, [...flags, MAIN], {
    cwd: ROOT,
    env: { PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
