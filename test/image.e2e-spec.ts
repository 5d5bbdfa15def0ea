import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { gatewayProcess } from './support/gateway.process.js';
import { disposeAll, onDispose } from './support/gateway.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8');

interface Instruction {
  name: string;
  text: string;
}

/** The instructions of the Dockerfile, in order, each on one line. */
const INSTRUCTIONS: Instruction[] = read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, '')
  .trim()
  .split('\n')
  .map((line) => ({ name: line.split(' ')[0] ?? '', text: line.slice(line.indexOf(' ') + 1) }));
/** Those of the stage that is shipped. */
const SHIPPED = INSTRUCTIONS.slice(INSTRUCTIONS.findLastIndex(({ name }) => name === 'FROM'));

function only(name: string): string {
  const found = SHIPPED.filter((instruction) => instruction.name === name);
  expect({ name, count: found.length }).toEqual({ name, count: 1 });
  return found[0]?.text ?? '';
}

/** Whether `.dockerignore` keeps a file out of the build: the last pattern that matches it decides. */
function isIgnored(path: string): boolean {
  const folders = path.split('/').map((_, index, names) => names.slice(0, index + 1).join('/'));
  let ignored = false;
  for (const line of read('.dockerignore').trim().split('\n')) {
    const pattern = line.replace(/^!/, '');
    const regex = new RegExp(
      `^${pattern
        .replace(/[.+^$()|[\]{}]/g, '\\$&')
        .replace(/\*\*\//g, '(?:.*/)?')
        .replace(/(?<![.)])\*/g, '[^/]*')}$`,
    );
    if (folders.some((folder) => regex.test(folder))) ignored = !line.startsWith('!');
  }
  return ignored;
}

async function exitCode(command: string[], env: Record<string, string>): Promise<number> {
  const [file = '', ...rest] = command;
  const { PATH = '' } = process.env;
  return new Promise((resolve) => {
    execFile(file === 'node' ? process.execPath : file, rest, { env: { PATH, ...env } }, (error) =>
      resolve(error ? Number(error.code) : 0),
    );
  });
}

describe('the Dockerfile', () => {
  afterEach(disposeAll);

  it('[IMG-1] builds of what it is given: no file that a step reads is kept out', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const run = INSTRUCTIONS.filter(({ name }) => name === 'RUN').map(({ text }) => text);
    const commands = run.flatMap((text) =>
      [...text.matchAll(/npm run (?:-s )?([\w:]+)/g)].map(([, name = '']) => scripts[name] ?? `no ${name}`),
    );
    const files = commands.flatMap((text) => text.match(/(?<=\bnode )\S+\.ts\b/g) ?? []);
    const copied = INSTRUCTIONS.filter(
      ({ name, text }) => name === 'COPY' && !text.includes('--from'),
    ).flatMap(({ text }) => text.split(' ').slice(0, -1));
    expect(files).toEqual(['deploy/sbom.ts']);
    const asked = [...files, ...copied.filter((path) => path !== '.'), 'src/main.ts', 'web/index.html'];
    expect(asked).toEqual(expect.arrayContaining(['package-lock.json', 'agents']));
    expect(asked.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    expect(asked.filter((path) => isIgnored(path))).toEqual([]);
    for (const path of ['node_modules/ws/package.json', '.env', 'data/mooring.sqlite', 'deploy/secrets/x'])
      expect({ path, ignored: isIgnored(path) }).toEqual({ path, ignored: true });
  });

  it('[IMG-2] ships a gateway that is not root, by number, under an init that hands signals on', () => {
    expect(only('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(JSON.parse(only('ENTRYPOINT'))).toEqual(['/usr/bin/tini', '--']);
    const command = JSON.parse(only('CMD')) as string[];
    expect(command).toEqual(['node', 'dist/main.js']);
    expect(only('VOLUME')).toBe('/data');
    expect(only('ENV')).toMatch(/NODE_ENV=production.*HOST=0\.0\.0\.0.*DATA_DIR=\/data/);
    expect(dirname(only('WORKDIR'))).toBe('/');
    // The order matters: what comes after USER would belong to it.
    const names = SHIPPED.map(({ name }) => name);
    expect(names.lastIndexOf('COPY')).toBeLessThan(names.indexOf('USER'));
  });

  it('[IMG-2] says what it is in its labels', () => {
    const { version, license, name } = JSON.parse(read('package.json')) as Record<string, string>;
    const labels = Object.fromEntries(
      [...only('LABEL').matchAll(/org\.opencontainers\.image\.([\w.]+)="([^"]*)"/g)].map(([, key, value]) => [
        key,
        value,
      ]),
    );
    expect(labels).toMatchObject({ version, licenses: license, title: name });
    expect(labels).toHaveProperty('revision', '$REVISION');
  });

  it('[IMG-3] has a health check that tells a gateway that answers from one that does not', async () => {
    const check = JSON.parse(only('HEALTHCHECK').replace(/^.*?CMD /, '')) as string[];
    const running = await gatewayProcess({ STORE: 'memory' });
    onDispose(() => running.kill('SIGKILL'));
    const PORT = new URL(running.url).port;
    expect(await exitCode(check, { PORT })).toBe(0);
    expect(await running.kill('SIGTERM')).toBe(0);
    expect(await exitCode(check, { PORT })).toBe(1);
  });
});
