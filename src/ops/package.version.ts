import { readFileSync } from 'node:fs';

/** Of the package, which holds the sources and what was built of them alike. */
export const { version: VERSION } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string };
