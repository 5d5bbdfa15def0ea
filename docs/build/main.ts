/**
 * Writes the contract for `/docs` into `web/public/docs/`, and the admin API for `/admin/openapi.json` into
 * `web/public/.console/`. Run it after a change of either: `npm run docs`.
 */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { asyncApi } from './asyncapi.ts';
import { openApi } from './openapi.ts';
import { page } from './page.ts';
import { ROOT } from './schemas.ts';

const OUT = process.argv[2] ?? `${ROOT}web/public`;

const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as { version: string };
const document = await asyncApi(version);
const admin = await openApi(version);
await mkdir(`${OUT}/docs`, { recursive: true });
await mkdir(`${OUT}/.console`, { recursive: true });
await writeFile(`${OUT}/docs/asyncapi.json`, json(document));
await writeFile(`${OUT}/docs/index.html`, page(document));
await writeFile(`${OUT}/.console/openapi.json`, json(admin));
console.log(
  `${Object.keys(document.operations).length} operations, ${Object.keys(admin.paths).length} admin paths: ${OUT}`,
);

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
