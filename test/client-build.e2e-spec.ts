import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { disposeAll, gateway, onDispose, temporaryDirectory } from './support/gateway.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PACKAGE = join(ROOT, 'client');
const README = readFileSync(join(PACKAGE, 'README.md'), 'utf8');

/** The package as npm packs it. */
async function pack(): Promise<string> {
  const folder = await temporaryDirectory();
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: PACKAGE });
  const [packed] = JSON.parse(stdout) as { filename: string }[];
  return join(folder, packed?.filename ?? '');
}

/** A folder in which the packed package is installed, beside the one that it depends on. */
async function project(): Promise<string> {
  const folder = await temporaryDirectory();
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, 'mooring-client'), { recursive: true });
  await run('tar', ['xzf', await pack(), '--strip-components=1', '-C', join(modules, 'mooring-client')]);
  await symlink(join(ROOT, 'node_modules', 'socket.io-client'), join(modules, 'socket.io-client'));
  return folder;
}

/** Runs a script there; gives what it printed. */
async function runScript(folder: string, name: string, source: string): Promise<string> {
  await writeFile(join(folder, name), source);
  const child = spawn(process.execPath, [name], { cwd: folder });
  onDispose(() => Promise.resolve(child.kill()));
  let output = '';
  child.stdout.on('data', (piece: Buffer) => (output += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (output += piece.toString()));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${name} ended with ${String(code)}:\n${output}`);
  return output;
}

const EXAMPLES = [...README.matchAll(/```js\n([^]*?)```/g)].map(([, source = '']) => source);

describe('the built client package', () => {
  let url: string;

  beforeAll(() => {
    readFileSync(join(PACKAGE, 'dist', 'index.js')); // else: npm run build:client
  });
  afterEach(disposeAll);

  const startGateway = async (): Promise<void> => {
    const running = await gateway();
    // One is still being answered, as a real model does, when it is cancelled.
    running.model.autoAnswer = (call) =>
      call.asked === 'Rather a short one.' ? call.begin() : call.answer('I am Alice.');
    url = running.url;
  };

  it('[CLI-10] is published as publint and attw want it: types and code for import and for require', async () => {
    const { messages, pkg } = await publint({ pkgDir: PACKAGE, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
    const tarball = createPackageFromTarballData(readFileSync(await pack()));
    const analysis = await checkPackage(tarball);
    // What knows no `exports` (TypeScript's "node10") finds the main entry only: as attw's profile node16 has it.
    const problems = 'problems' in analysis ? analysis.problems : [];
    const ofNow = problems.filter(
      (problem) => !('resolutionKind' in problem && problem.resolutionKind === 'node10'),
    );
    expect(analysis).toMatchObject({ types: { kind: 'included' } });
    expect(ofNow).toEqual([]);
  });

  it.each([
    ['import', 'use.mjs', "import { MooringClient } from 'mooring-client';"],
    ['require', 'use.cjs', "const { MooringClient } = require('mooring-client');"],
  ])('[CLI-10] works by %s', async (_way, name, load) => {
    await startGateway();
    const source = `${load}
      const client = new MooringClient(${JSON.stringify(url)});
      const session = client.session();
      const stop = session.subscribe(() => {
        const last = session.state.messages.at(-1);
        if (last?.metadata?.status !== 'completed') return;
        stop();
        console.log(last.parts.map(({ text = '' }) => text).join(''));
        client.close();
      });
      void session.send('Who are you?');`;
    expect(await runScript(await project(), name, source)).toBe('I am Alice.\n');
  });

  it('[CLI-10] every example of its README runs as it stands', async () => {
    await startGateway();
    expect(EXAMPLES.length).toBeGreaterThanOrEqual(3);
    const folder = await project();
    const outputs: string[] = [];
    for (const [index, source] of EXAMPLES.entries()) {
      outputs.push(
        await runScript(folder, `example-${index}.mjs`, source.replaceAll('http://localhost:3000', url)),
      );
    }
    expect(outputs[0]).toMatch(/^I am Alice\.$/m);
    expect(outputs[1]).toBe('session_busy true\ntrue\n');
    expect(outputs[2]).toBe('true\n');
  });

  it('is tree-shaken: a bundle has of it what it uses', async () => {
    const folder = await project();
    const sizeOf = async (name: string): Promise<number> => {
      await writeFile(
        join(folder, 'entry.mjs'),
        `import { ${name} } from 'mooring-client';\nconsole.log(${name});`,
      );
      const how = ['--no-config', '--format', 'esm', '--platform', 'browser', '--log-level', 'warn'];
      const what = ['--deps.alwaysBundle', 'mooring-client', '--deps.neverBundle', 'socket.io-client'];
      await run(join(ROOT, 'node_modules', '.bin', 'tsdown'), ['entry.mjs', ...how, ...what], {
        cwd: folder,
      });
      return readFileSync(join(folder, 'dist', 'entry.mjs')).length;
    };
    const whole = await sizeOf('MooringClient');
    expect(await sizeOf('newId')).toBeLessThan(whole / 20);
    expect(await sizeOf('Conversation')).toBeLessThan(whole / 2);
  });

  it('is as large as its README says', () => {
    const [, stated] = /(\d+) kB gzipped/.exec(README) ?? [];
    const bytes = gzipSync(readFileSync(join(PACKAGE, 'dist', 'index.js'))).length;
    expect(Math.round(bytes / 1000)).toBeLessThanOrEqual(Number(stated));
  });

  it('holds nothing of the gateway but the contract and how an answer is read', () => {
    const regions = readFileSync(join(PACKAGE, 'dist', 'index.js'), 'utf8').match(/\/\/#region \S+/g) ?? [];
    const foreign = regions
      .map((region) => region.slice('//#region '.length))
      .filter((name) => name.startsWith('../'));
    expect(foreign.sort()).toEqual([
      '../src/protocol.ts',
      '../src/sessions/json.ts',
      '../src/sessions/message.chunks.ts',
      '../src/sessions/message.fold.ts',
      '../src/sessions/partial-json.ts',
      '../src/sessions/turn.reader.ts',
    ]);
  });
});
