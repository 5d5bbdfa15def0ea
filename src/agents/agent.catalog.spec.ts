import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Config, loadConfig } from '../config.js';
import { AgentCatalog, AgentFileError } from './agent.catalog.js';
import type { ToolRegistry } from './tool.registry.js';

const tools = { discover: () => undefined, names: () => ['current_time'] } as unknown as ToolRegistry;
const agent = (name: string, persona = `You are ${name}.`): string =>
  `---\nname: ${name}\ndescription: Helps\n---\n${persona}\n`;

let dir: string;
let catalog: AgentCatalog | undefined;
/** What the catalog logged, and a wait for the next line that matches. */
let lines: string[];
let waiting: { pattern: RegExp; resolve: () => void } | undefined;

function write(id: string, content: string): void {
  writeFileSync(join(dir, `${id}.md`), content);
}

function catalogOf(changes: Partial<Config> = {}): AgentCatalog {
  catalog = new AgentCatalog(new Config({ ...loadConfig({ AGENTS_DIR: dir }), ...changes }), tools);
  return catalog;
}

function problemsOf(changes?: Partial<Config>): readonly string[] {
  try {
    catalogOf(changes).load();
    return [];
  } catch (error) {
    if (error instanceof AgentFileError) return error.problems;
    throw error;
  }
}

function logged(pattern: RegExp): Promise<void> {
  if (lines.some((line) => pattern.test(line))) return Promise.resolve();
  return new Promise((resolve) => (waiting = { pattern, resolve }));
}

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'mooring-agents-')), 'agents');
  mkdirSync(dir);
  lines = [];
  waiting = undefined;
  const log = (line: unknown): void => {
    lines.push(String(line));
    if (waiting?.pattern.test(String(line))) waiting.resolve();
  };
  jest.spyOn(Logger.prototype, 'log').mockImplementation(log);
  jest.spyOn(Logger.prototype, 'error').mockImplementation(log);
});

afterEach(() => {
  catalog?.onModuleDestroy();
  jest.restoreAllMocks();
  rmSync(join(dir, '..'), { recursive: true, force: true });
});

describe('AgentCatalog at the start', () => {
  it('[AGT-2] lists the default first, then by id, and finds by id in any case', () => {
    for (const name of ['Zoe', 'Bob', 'Alice']) write(name.toLowerCase(), agent(name));
    writeFileSync(join(dir, '.#alice.md'), 'an editor');
    writeFileSync(join(dir, 'alice.md~'), 'an editor');
    const loaded = catalogOf({ defaultAgent: 'bob' });
    loaded.load();
    expect(loaded.list()).toEqual([
      { id: 'bob', name: 'Bob', description: 'Helps' },
      { id: 'alice', name: 'Alice', description: 'Helps' },
      { id: 'zoe', name: 'Zoe', description: 'Helps' },
    ]);
    expect(loaded.default.persona).toBe('You are Bob.');
    expect(loaded.get(' ALICE ')?.name).toBe('Alice');
    expect(loaded.get('nobody')).toBeUndefined();
  });

  it('[AGT-1] names every problem of every file at once', () => {
    write('alice', '---\nname: Alice\n---\nYou are Alice.');
    write('bob', '---\nname: Bob\ndescription: B\ntools: [seek]\n---\n');
    mkdirSync(join(dir, 'folder.md'));
    expect(problemsOf()).toEqual([
      `${join(dir, 'alice.md')}:1: description is missing`,
      `${join(dir, 'bob.md')}:4: there is no tool "seek": there are current_time`,
      `${join(dir, 'bob.md')}:5: the persona is missing: it is the text below the front matter`,
      expect.stringMatching(/folder\.md:1: it cannot be read: EISDIR/),
    ]);
  });

  it('[AGT-1] helps where there is no folder, no agent or no default', () => {
    expect(problemsOf({ agentsDir: join(dir, 'absent') })[0]).toMatch(
      /absent: does not exist: AGENTS_DIR must be/,
    );
    expect(problemsOf()).toEqual([`${dir}: holds no agent: write one as alice.md there`]);
    write('bob', agent('Bob'));
    expect(problemsOf()).toEqual([`${dir}: holds no alice.md, which DEFAULT_AGENT names`]);
  });

  it('accepts the agents that come with the project', () => {
    const shipped = catalogOf({ agentsDir: 'agents' });
    shipped.load();
    expect(shipped.list().map(({ id }) => id)).toEqual(['alice', 'debbie', 'patricia']);
    for (const { id, name } of shipped.list())
      expect(shipped.get(id)?.persona).toMatch(new RegExp(`^You are ${name},`));
  });
});

describe('AgentCatalog while it runs', () => {
  it('[AGT-3] takes up changed, replaced, new and removed files', async () => {
    write('alice', agent('Alice'));
    const running = catalogOf();
    running.onModuleInit();
    const pinned = running.default;
    write('alice', agent('Alice', 'You are Alice, changed.'));
    await logged(/agent alice changed/);
    expect(running.default.persona).toBe('You are Alice, changed.');
    expect(running.default.hash).not.toBe(pinned.hash);
    expect(pinned.persona).toBe('You are Alice.');

    lines = [];
    writeFileSync(join(dir, 'alice.md.tmp'), agent('Alice', 'You are Alice, replaced.'));
    renameSync(join(dir, 'alice.md.tmp'), join(dir, 'alice.md'));
    write('bob', agent('Bob'));
    await logged(/agent bob added/);
    expect(running.default.persona).toBe('You are Alice, replaced.');

    rmSync(join(dir, 'bob.md'));
    await logged(/agent bob removed/);
    expect(running.get('bob')).toBeUndefined();
  });

  it('keeps the last good version of a broken file, and the default whatever happens', async () => {
    write('alice', agent('Alice'));
    write('bob', agent('Bob'));
    const running = catalogOf();
    running.onModuleInit();
    write('bob', '---\nname: Bob\n---\nYou are Bob.\n');
    await logged(/bob\.md:1: description is missing/);
    expect(running.get('bob')?.persona).toBe('You are Bob.');
    rmSync(join(dir, 'alice.md'));
    await logged(/alice\.md is gone, but stays in use/);
    expect(running.default.name).toBe('Alice');
    expect(lines.filter((line) => line.includes('bob.md:1'))).toHaveLength(1);
  });

  it('follows a folder that is replaced as a whole', async () => {
    write('alice', agent('Alice'));
    const running = catalogOf();
    running.onModuleInit();
    renameSync(dir, `${dir}.old`);
    mkdirSync(dir);
    write('alice', agent('Alice', 'You are Alice, moved.'));
    await logged(/agent alice changed/);
    lines = [];
    write('alice', agent('Alice', 'You are Alice, again.'));
    await logged(/agent alice changed/);
    expect(running.default.persona).toBe('You are Alice, again.');
  });

  it('survives without its folder', async () => {
    write('alice', agent('Alice'));
    const running = catalogOf();
    running.onModuleInit();
    rmSync(dir, { recursive: true });
    await logged(/does not exist|ENOENT/);
    expect(running.default.name).toBe('Alice');
  });
});
