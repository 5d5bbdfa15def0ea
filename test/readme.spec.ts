import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { configMarkdown } from '../src/config.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8');
const README = read('README.md');
/** Blocks and spans of code. */
const CODE = [...README.matchAll(/```\w*\n([^]*?)```|`([^`\n]+)`/g)].map(
  ([, block, span]) => block ?? span ?? '',
);

/** What the links and scripts of every document name is in `docs.spec.ts`; this is of the README alone. */
describe('the README', () => {
  it('begins with what it is and the two commands', () => {
    const [name, sentence, commands] = README.split('\n\n');
    expect(name).toBe('# Mooring');
    expect(sentence).not.toContain('\n');
    expect(commands).toMatch(/^```sh\nnpm ci && npm start\b.*\nnpm ci && npm test\b.*\n```$/);
  });

  it('names only files that are there', () => {
    const folder = /(?<![\w/.-])(?:\.ci|agents|bench|client|deploy|docs|examples|src|test|web)\/[\w./-]*/g;
    const named = CODE.flatMap((code) => code.match(folder) ?? []);
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('runs only scripts that there are', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = CODE.flatMap((code) =>
      [...code.matchAll(/\bnpm (?:run (?:-s )?)?([\w:]+)/g)].map(([, name = '']) => name),
    );
    expect(named.filter((name) => name !== 'ci' && !(name in scripts))).toEqual([]);
  });

  it('sets only variables that there are', () => {
    const known = new Set(configMarkdown().match(/\b[A-Z][A-Z_]+\b/g));
    const named = CODE.flatMap((code) =>
      [...code.matchAll(/(?:^|\s)([A-Z][A-Z_]{3,})\b(?!\()/g)].map(([, name = '']) => name),
    );
    expect(named).toContain('OPENAI_BASE_URL');
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });
});
