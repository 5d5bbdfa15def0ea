import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { parseAgentFile, type ParsedAgent } from './agent.file.js';

const TOOLS = ['current_time', 'search'];

function parse(content: string | Uint8Array, file = 'alice.md'): ParsedAgent {
  return parseAgentFile(file, typeof content === 'string' ? Buffer.from(content) : content, TOOLS);
}

function problemsOf(content: string | Uint8Array, file?: string): string[] {
  const parsed = parse(content, file);
  return parsed.ok ? [] : parsed.problems.map(({ line, text }) => `${line}: ${text}`);
}

const file = (front: string, body = 'You are Alice.\n'): string => `---\n${front}\n---\n${body}`;

describe('parseAgentFile', () => {
  it('reads every field', () => {
    const front =
      'name: Alice\ndescription: "Helps: always"\nmodel: m\ntemperature: 0.5\ntools: [search, search]';
    const content = file(front, '\nYou are Alice.\n\n---\nStill you.\n\n');
    expect(parse(content)).toEqual({
      ok: true,
      agent: {
        id: 'alice',
        hash: createHash('sha256').update(content).digest('hex'),
        name: 'Alice',
        description: 'Helps: always',
        model: 'm',
        temperature: 0.5,
        tools: ['search'],
        persona: 'You are Alice.\n\n---\nStill you.',
      },
    });
  });

  it('takes Windows line ends and a byte order mark', () => {
    const content = `\uFEFF${file('name: Alice\ndescription: Helps')}`.replaceAll('\n', '\r\n');
    expect(parse(content)).toMatchObject({
      ok: true,
      agent: { name: 'Alice', tools: [], persona: 'You are Alice.' },
    });
  });

  it.each([
    ['no front matter', 'You are Alice.', ['1: the front matter is missing: the first line must be ---']],
    ['an empty file', '', ['1: the front matter is missing: the first line must be ---']],
    [
      'no end',
      '---\nname: Alice\n',
      ['1: the front matter has no end: a line of --- must follow its fields'],
    ],
    ['no fields', file(''), ['1: the front matter must be fields such as name: Alice']],
    ['a list', file('- name'), ['1: the front matter must be fields such as name: Alice']],
    ['missing fields', file('tools: []'), ['1: name is missing', '1: description is missing']],
    ['an unknown field', file('name: A\ndescription: B\ntool: x'), ['4: there is no field tool']],
    ['an empty field', file('name: A\ndescription: " "'), ['3: description must not be empty']],
    ['a field without value', file('name:\ndescription: B'), ['2: name must be text']],
    ['a number for a name', file('description: B\nname: 7'), ['3: name must be text']],
    [
      'a high temperature',
      file('name: A\ndescription: B\ntemperature: 2.1'),
      ['4: temperature must be a number from 0 to 2'],
    ],
    [
      'a text temperature',
      file('name: A\ndescription: B\ntemperature: hot'),
      ['4: temperature must be a number from 0 to 2'],
    ],
    [
      'a tool that is text',
      file('name: A\ndescription: B\ntools: search'),
      ['4: tools must be a list of names such as [current_time]'],
    ],
    [
      'an unknown tool',
      file('name: A\ndescription: B\ntools:\n  - search\n  - seek'),
      ['6: there is no tool "seek": there are current_time, search'],
    ],
    [
      'no persona',
      file('name: A\ndescription: B', ' \n'),
      ['4: the persona is missing: it is the text below the front matter'],
    ],
    [
      'a field twice',
      file('name: A\ndescription: B\nname: C'),
      ['4: the front matter is not YAML: Map keys must be unique'],
    ],
    [
      'an alias to nothing',
      file('name: *x\ndescription: B'),
      [expect.stringMatching(/^\d: the front matter is not YAML: Unresolved alias/)],
    ],
    [
      'a tab',
      file('name: A\n\tdescription: B'),
      expect.arrayContaining([expect.stringMatching(/^3: the front matter is not YAML: /)]),
    ],
    [
      'a colon',
      file('name: A\ndescription: B: C'),
      [expect.stringMatching(/^3: the front matter is not YAML: Nested mappings/)],
    ],
    ['bytes', Uint8Array.of(0x2d, 0xff), ['1: the file is not UTF-8 text']],
  ])('refuses %s with its line', (_name, content, problems) => {
    expect(problemsOf(content)).toEqual(problems);
  });

  it('names all problems of a file at once', () => {
    expect(problemsOf(file('name: A\ncolour: red', ''), 'Alice.md')).toEqual([
      expect.stringMatching(/^1: the file must be named <id>\.md/),
      '1: description is missing',
      '3: there is no field colour',
      '4: the persona is missing: it is the text below the front matter',
    ]);
  });

  it.each(['Alice.md', 'a b.md', '_a.md', `${'a'.repeat(65)}.md`, 'é.md', 'alice.MD'])(
    'refuses the name %s',
    (name) => {
      expect(problemsOf(file('name: A\ndescription: B'), name)).toHaveLength(1);
    },
  );

  it('never throws, and says a line that the file has', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (front, body) => {
        const content = file(front, body);
        const parsed = parse(content);
        const lines = content.split(/\r?\n/).length;
        for (const { line } of parsed.ok ? [] : parsed.problems) {
          expect(line).toBeGreaterThanOrEqual(1);
          expect(line).toBeLessThanOrEqual(lines);
        }
      }),
    );
  });
});
