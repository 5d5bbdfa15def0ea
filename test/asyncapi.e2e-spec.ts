import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { REQUEST_NAMES } from '../src/protocol.js';
import { disposeAll, gateway, temporaryDirectory } from './support/gateway.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DOCUMENT = join(ROOT, 'web', 'public', 'docs', 'asyncapi.json');

describe('the contract as a document', () => {
  afterEach(disposeAll);

  it('[DOC-1] is what the types and validators say now (npm run docs)', async () => {
    const folder = await temporaryDirectory();
    await run(process.execPath, [join(ROOT, 'docs', 'build', 'main.ts'), folder]);
    for (const name of ['asyncapi.json', 'index.html']) {
      expect(readFileSync(join(ROOT, 'web', 'public', 'docs', name), 'utf8')).toBe(
        readFileSync(join(folder, 'docs', name), 'utf8'),
      );
    }
  });

  it('[DOC-1] is valid to the AsyncAPI parser, and holds every request', async () => {
    // In a process of its own: the parser is CommonJS of its own many parts, and slow to load in jest's realm.
    const script = `
      const { Parser } = require('@asyncapi/parser');
      const text = require('node:fs').readFileSync(process.argv[1], 'utf8');
      new Parser().parse(text).then(({ document, diagnostics }) => {
        const problems = diagnostics.filter(({ severity }) => severity <= 1).map(({ message }) => message);
        const names = document.allMessages().all().map((message) => message.name());
        console.log(JSON.stringify({ problems, names }));
      });`;
    const { stdout } = await run(process.execPath, ['-e', script, DOCUMENT], { cwd: ROOT });
    const { problems, names } = JSON.parse(stdout) as { problems: string[]; names: string[] };
    expect(problems).toEqual([]);
    expect(names).toEqual(expect.arrayContaining([...REQUEST_NAMES, 'session:opened', 'session:events']));
  });

  it('[DOC-1] is served as a page, without a script, and as JSON', async () => {
    const { url } = await gateway();
    const page = await fetch(`${url}/docs`);
    const html = await page.text();
    expect([page.status, page.url]).toEqual([200, `${url}/docs/`]);
    expect(html).toContain('<h3 id="message-send">message:send</h3>');
    expect(html).not.toMatch(/<script|\sstyle=|\son\w+=/);
    for (const [, target = ''] of html.matchAll(/href="#([^"]+)"/g)) expect(html).toContain(`id="${target}"`);
    const json = await fetch(`${url}/docs/asyncapi.json`);
    expect(await json.json()).toMatchObject({ asyncapi: '3.0.0', info: { title: 'Mooring' } });
  });
});
