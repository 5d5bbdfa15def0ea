import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { configMarkdown } from '../src/config.js';
import { LIMITS } from '../src/protocol.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8');
const PAGES = [
  ...['README.md', 'SPEC.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

describe('the documents', () => {
  it('show the client of examples/client.mjs to the letter', () => {
    expect(read('README.md')).toContain(`\`\`\`js\n${read('examples/client.mjs').trimEnd()}\n\`\`\``);
  });

  it('list the configuration as the code knows it', () => {
    expect(read('docs/configuration.md')).toContain(configMarkdown().trim());
  });

  it('list every limit of the contract, by rules that there are', () => {
    const page = read('docs/limits.md');
    expect(Object.keys(LIMITS).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
    const rules = [...page.matchAll(/^\|.*\| ([A-Z]+-\d+(?:, [A-Z]+-\d+)*) +\|$/gm)].flatMap(([, ids = '']) =>
      ids.split(', '),
    );
    expect(rules.length).toBeGreaterThan(40);
    for (const id of rules) expect(read('SPEC.md')).toContain(`**[${id}]**`);
  });

  it.each(PAGES)('%s names only scripts that package.json has', (page) => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    for (const [, name = ''] of read(page).matchAll(/npm run (?:-s )?([\w:-]+)/g)) {
      expect(Object.keys(scripts)).toContain(name);
    }
  });

  it.each(PAGES)('%s links only to files that are there', (page) => {
    for (const [, target = ''] of read(page).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      expect({ target, exists: existsSync(join(ROOT, dirname(page), target)) }).toEqual({
        target,
        exists: true,
      });
    }
  });
});
