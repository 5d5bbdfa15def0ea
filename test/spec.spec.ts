import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const RULE = /^- \*\*\[([A-Z]+-\d+)\]\*\*/gm;
/** The title of a test or a group, in any of the forms that jest knows, up to the end of its ids. */
const TITLE =
  /\b(?:it|test|describe)(?:\.each\((?:[^()]|\([^()]*\))*\))?\s*\(\s*(['"`])((?:\[[A-Z]+-\d+(?: [A-Z]+-\d+)*\]\s*)+)/g;
const ID = /[A-Z]+-\d+/g;

function rules(): string[] {
  return [...readFileSync(join(ROOT, 'SPEC.md'), 'utf8').matchAll(RULE)].map(([, id]) => id ?? '');
}

function specFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /[.-](spec|contract|property)\.ts$/.test(name))
    .map((name) => join(ROOT, folder, name));
}

/** Rule ids by the titles that begin with them. */
function citations(): Set<string> {
  const cited = new Set<string>();
  for (const file of [...specFiles('src'), ...specFiles('test')]) {
    for (const [, , ids = ''] of readFileSync(file, 'utf8').matchAll(TITLE)) {
      for (const [id] of ids.matchAll(ID)) cited.add(id);
    }
  }
  return cited;
}

describe('SPEC.md', () => {
  it('gives each rule an id of its own', () => {
    expect(rules().length).toBeGreaterThan(90);
    expect(new Set(rules()).size).toBe(rules().length);
  });

  it('has a test for every rule', () => {
    const cited = citations();
    expect(rules().filter((id) => !cited.has(id))).toEqual([]);
  });

  it('has every rule that a test cites', () => {
    const known = new Set(rules());
    expect([...citations()].filter((id) => !known.has(id))).toEqual([]);
  });
});
