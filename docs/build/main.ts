/** Writes `web/public/docs/`, which the gateway serves at `/docs`. Run it after a change of the contract: `npm run docs`. */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { asyncApi } from './asyncapi.ts';
import { page } from './page.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OUT = process.argv[2] ?? `${ROOT}web/public/docs`;

const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as { version: string };
const document = await asyncApi(version);
await mkdir(OUT, { recursive: true });
await writeFile(`${OUT}/asyncapi.json`, `${JSON.stringify(document, null, 2)}\n`);
await writeFile(`${OUT}/index.html`, page(document));
console.log(`${Object.keys(document.operations).length} operations: ${OUT}`);
