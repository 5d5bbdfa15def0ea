import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Locked {
  version: string;
  license?: string;
  resolved?: string;
  integrity?: string;
  dev?: boolean;
  hasInstallScript?: boolean;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, Locked>;
};
const packages = Object.entries(lock.packages)
  .filter(([path]) => path !== '')
  .map(([path, locked]) => ({ path, name: path.split('node_modules/').at(-1) ?? '', ...locked }));
/** What is installed where the gateway runs. */
const shipped = packages.filter(({ dev }) => !dev);

/** Below these versions are known holes. */
const FLOORS: Record<string, string> = {
  'socket.io-parser': '4.2.7',
  'engine.io': '6.6.9',
  ws: '8.21.0',
};
const ALLOWED = ['MIT', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0'];
/** Packages of a time before the field `license`; theirs were looked up. */
const LICENSES_OF_OLD: Record<string, string> = { busboy: 'MIT', streamsearch: 'MIT' };

function isAtLeast(version: string, floor: string): boolean {
  return version.localeCompare(floor, undefined, { numeric: true }) >= 0;
}

describe('what is shipped', () => {
  it('[SUP-1] has no version with a known hole', () => {
    for (const [name, floor] of Object.entries(FLOORS)) {
      const versions = shipped.filter((each) => each.name === name).map(({ version }) => version);
      expect(versions).not.toEqual([]);
      expect({ name, old: versions.filter((version) => !isAtLeast(version, floor)) }).toEqual({
        name,
        old: [],
      });
    }
    expect(isAtLeast('8.9.0', '8.21.0')).toBe(false);
  });

  it('[SUP-2] may be shipped: its licences are permissive', () => {
    const others = shipped.filter(
      ({ name, license }) => !ALLOWED.includes(license ?? LICENSES_OF_OLD[name] ?? 'none'),
    );
    expect(others.map(({ name, license }) => `${name}: ${license}`)).toEqual([]);
  });

  it('[SUP-2] names the licences of what the page holds', () => {
    const text = readFileSync(join(ROOT, 'web', 'dist', 'licenses.md'), 'utf8'); // else: npm run build:web
    const named = [...text.matchAll(/^## (\S+) - \S+ \((.*)\)$/gm)].map(([, name, license]) => ({
      name,
      license,
    }));
    expect(named.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['react', 'socket.io-client', 'ai']),
    );
    expect(named.filter(({ license = '' }) => !ALLOWED.includes(license))).toEqual([]);
  });

  it('[SUP-3] comes from the registry, with its checksum, and runs nothing when it is installed', () => {
    const foreign = packages.filter(
      ({ resolved, integrity }) =>
        !resolved?.startsWith('https://registry.npmjs.org/') || !integrity?.startsWith('sha512-'),
    );
    expect(foreign.map(({ path }) => path)).toEqual([]);
    expect(shipped.filter(({ hasInstallScript }) => hasInstallScript).map(({ path }) => path)).toEqual([]);
  });

  it('[SUP-4] is named in full by a software bill of materials', async () => {
    const { stdout } = await promisify(execFile)('npm', ['run', '-s', 'sbom'], {
      cwd: ROOT,
      maxBuffer: 64 * 1024 * 1024,
    });
    const bom = JSON.parse(stdout) as {
      bomFormat: string;
      components: { group?: string; name: string; version: string }[];
    };
    expect(bom.bomFormat).toBe('CycloneDX');
    const named = new Set(
      bom.components.map(({ group, name, version }) => `${group ? `${group}/` : ''}${name}@${version}`),
    );
    const page = packages.filter(({ path }) => /^node_modules\/(react|remend)$/.test(path));
    expect(page).toHaveLength(2);
    const missing = [...shipped, ...page].filter(({ name, version }) => !named.has(`${name}@${version}`));
    expect(missing.map(({ path }) => path)).toEqual([]);
    expect([...named].filter((name) => /^(jest|eslint|typescript|vite)@/.test(name))).toEqual([]);
  });

  it('[SUP-5] is all that the build asks for, without what is only for development', () => {
    const dist = join(ROOT, 'dist'); // else: npm run build
    const files = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.js'),
    );
    const asked = files
      .flatMap((name) => ts.preProcessFile(readFileSync(join(dist, name), 'utf8')).importedFiles)
      .map(({ fileName }) => fileName)
      .filter((name) => !/^(?:\.|node:)/.test(name));
    const names = [...new Set(asked.map((name) => /^(?:@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? ''))];
    expect(names).toEqual(expect.arrayContaining(['@nestjs/core', 'reflect-metadata', 'undici']));
    const there = new Set(shipped.map(({ path }) => path));
    expect(names.filter((name) => !there.has(`node_modules/${name}`))).toEqual([]);
    const { dependencies = {}, devDependencies = {} } = lock.packages[''] ?? {};
    expect(Object.keys(dependencies).filter((name) => name in devDependencies)).toEqual([]);
  });
});
