import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Rule {
  id: string;
  /** No test can show it, or it holds in a later version only. */
  exempt: boolean;
}

function rulesIn(markdown: string): Rule[] {
  const later = markdown.indexOf('\n## Not in this version');
  return [...markdown.matchAll(/^- \*\*\[([A-Z]+-\d+)\]\*\*(.*)$/gm)].map(
    ({ index, 1: id = '', 2: text = '' }) => ({
      id,
      exempt: (later >= 0 && index > later) || /\(untested: \S/.test(text),
    }),
  );
}

const RULES = rulesIn(readFileSync(join(ROOT, 'SPEC.md'), 'utf8'));
const GROUPS = [...new Set(RULES.map(({ id }) => id.split('-')[0]))].join('|');

/** Also the suites that specs share: their titles are those of whoever runs them. */
function specFiles(): string[] {
  return ['src', 'client/src', 'web/src', 'test'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /[.-](spec|contract|property)\.ts$/.test(name))
      .map((name) => join(folder, name)),
  );
}

/** The titles of the tests and groups that run; comments and other strings are not among them. */
function titlesIn(source: string): string[] {
  const titles: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      if (isSkipped(node.expression)) return;
      const title = node.arguments[0];
      if (title && isTestFunction(node.expression)) titles.push(...textOf(title));
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('titles.ts', source, ts.ScriptTarget.Latest));
  return titles;
}

/** What is skipped for ever shows nothing, and nothing within it does. */
function isSkipped(callee: ts.Expression): boolean {
  if (ts.isIdentifier(callee)) return ['xit', 'xtest', 'xdescribe'].includes(callee.text);
  if (ts.isCallExpression(callee)) return isSkipped(callee.expression);
  if (!ts.isPropertyAccessExpression(callee)) return false;
  return ['skip', 'todo', 'failing'].includes(callee.name.text) || isSkipped(callee.expression);
}

/** `it`, `test`, `describe`, with `.only`, `.each(…)` and the like, also where a condition chooses them. */
function isTestFunction(callee: ts.Expression): boolean {
  if (ts.isParenthesizedExpression(callee)) return isTestFunction(callee.expression);
  if (ts.isConditionalExpression(callee))
    return isTestFunction(callee.whenTrue) || isTestFunction(callee.whenFalse);
  if (ts.isIdentifier(callee)) return ['it', 'test', 'describe', 'fit', 'fdescribe'].includes(callee.text);
  if (ts.isPropertyAccessExpression(callee)) {
    // `it.each` itself is called with a table; the call of what it gives has the title.
    return callee.name.text !== 'each' && isTestFunction(callee.expression);
  }
  const table = ts.isCallExpression(callee)
    ? callee.expression
    : ts.isTaggedTemplateExpression(callee)
      ? callee.tag
      : undefined;
  if (!table || !ts.isPropertyAccessExpression(table) || table.name.text !== 'each') return false;
  return isTestFunction(table.expression);
}

function textOf(title: ts.Expression): string[] {
  if (ts.isStringLiteralLike(title)) return [title.text];
  return ts.isTemplateExpression(title) ? [title.head.text] : [];
}

/** `[RES-1] …`, `[RES-1 RES-2] …` or `[RES-1] [RES-2] …`: ids at the beginning, and nowhere else. */
function citationsIn(title: string): { ids: string[]; misplaced: boolean } {
  const [head = ''] = /^(?:\[[A-Z]+-\d+(?: [A-Z]+-\d+)*\] ?)*/.exec(title) ?? [];
  const misplaced = new RegExp(`\\b(?:${GROUPS})-\\d`).test(title.slice(head.length));
  return { ids: head.match(/[A-Z]+-\d+/g) ?? [], misplaced };
}

const TITLES = specFiles().flatMap((file) =>
  titlesIn(readFileSync(join(ROOT, file), 'utf8')).map((title) => ({ file, title, ...citationsIn(title) })),
);
const CITED = new Set(TITLES.flatMap(({ ids }) => ids));

describe('SPEC.md', () => {
  it('gives each rule an id of its own', () => {
    expect(RULES.length).toBeGreaterThan(90);
    expect(new Set(RULES.map(({ id }) => id)).size).toBe(RULES.length);
  });

  it('has a test for every rule', () => {
    expect(RULES.filter(({ id, exempt }) => !exempt && !CITED.has(id)).map(({ id }) => id)).toEqual([]);
  });

  it('has every rule that a test cites', () => {
    const known = new Set(RULES.map(({ id }) => id));
    expect(TITLES.filter(({ ids }) => ids.some((id) => !known.has(id)))).toEqual([]);
  });

  it('is cited at the beginning of titles', () => {
    expect(TITLES.filter(({ misplaced }) => misplaced)).toEqual([]);
  });

  it('excuses no rule that a test shows', () => {
    expect(RULES.filter(({ id, exempt }) => exempt && CITED.has(id))).toEqual([]);
  });
});

describe('the reader of titles', () => {
  it('takes titles that run, and nothing else', () => {
    const source = `
      // it('[A-1] in a comment')
      const text = "it('[A-2] in a string')";
      expect('[A-3] an argument').toBe(text);
      it('[B-1] a test', () => { log('[A-4] within'); });
      describe.each(['x', (y)])(\`[B-2 B-3] \${name} of a table\`, () => {});
      test.each\`a\${1}\`("[B-4] [B-5] a tagged table", () => {});
      it.only('[B-6]', () => {});
      (hasBrowser ? describe : describe.skip)('[B-7] on a condition', () => {});
      it.each([['[A-5] a row', () => ')']])('%s', () => {});
      it.skip('[A-6] skipped', () => {});
      it.todo('[A-7] to do');
      describe.skip('skipped', () => it('[A-8] within', () => {}));
      xit('[A-9] skipped', () => {});
    `;
    const ids = titlesIn(source).flatMap((title) => citationsIn(title).ids);
    expect(ids).toEqual(['B-1', 'B-2', 'B-3', 'B-4', 'B-5', 'B-6', 'B-7']);
  });

  it('notices ids elsewhere in a title', () => {
    const [id = ''] = CITED;
    expect(citationsIn(`[${id}] a title`).misplaced).toBe(false);
    for (const title of [`shows ${id}`, `[${id}, ${id}] a title`, `[${id}] as ${id}`]) {
      expect(citationsIn(title).misplaced).toBe(true);
    }
  });
});

describe('the reader of rules', () => {
  it('excuses what is marked and what a later version brings', () => {
    const markdown =
      '- **[A-1]** One.\n- **[A-2]** Two. **(untested: no engine)**\n\n## Not in this version\n\n- **[A-3]** Three.\n';
    expect(rulesIn(markdown).filter(({ exempt }) => exempt)).toEqual([
      { id: 'A-2', exempt: true },
      { id: 'A-3', exempt: true },
    ]);
  });
});
