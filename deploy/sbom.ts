/*
 * Prints what is shipped as a software bill of materials (CycloneDX 1.6, JSON): the packages that are installed where
 * the gateway runs, read from the lock file, and those that the built web chat holds. npm's own `npm sbom --omit=dev`
 * leaves out whatever a development dependency needs as well.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Locked {
  name?: string;
  version: string;
  license?: string;
  integrity?: string;
  dev?: boolean;
  optional?: boolean;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, Locked>;
};

/** `node_modules/a/node_modules/b` is b. */
function nameOf(path: string): string {
  return path.split('node_modules/').at(-1) ?? '';
}

/** https://github.com/package-url/purl-spec: the scope's @ is encoded. */
function purlOf(name: string, version: string): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}

/** Where node finds it: beside whoever asks, or in a folder above. */
function resolve(from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    const path = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
    if (path in lock.packages) return path;
    if (folder === '') return undefined;
  }
}

/** Those that the web chat was built of, as the build names them beside their licences. */
function bundled(): { path: string; locked: Locked }[] {
  const licenses = readFileSync(join(ROOT, 'web', 'dist', 'licenses.md'), 'utf8');
  return [...licenses.matchAll(/^## (\S+) - (\S+) \(/gm)].flatMap(([, name = '', version]) => {
    const found = Object.entries(lock.packages).find(
      ([path, locked]) => nameOf(path) === name && locked.version === version,
    );
    if (!found) throw new Error(`the page holds ${name} ${version}, which the lock file does not name`);
    return [{ path: found[0], locked: found[1] }];
  });
}

function componentOf({ path, locked }: { path: string; locked: Locked }): object {
  const [scope, base] = nameOf(path).startsWith('@') ? nameOf(path).split('/') : [undefined, nameOf(path)];
  const purl = purlOf(nameOf(path), locked.version);
  const sha512 = /^sha512-(\S+)/.exec(locked.integrity ?? '')?.[1];
  return {
    type: 'library',
    'bom-ref': purl,
    ...(scope && { group: scope }),
    name: base,
    version: locked.version,
    ...(locked.optional && { scope: 'optional' }),
    ...(sha512 && { hashes: [{ alg: 'SHA-512', content: Buffer.from(sha512, 'base64').toString('hex') }] }),
    ...(locked.license && { licenses: [{ expression: locked.license }] }),
    purl,
  };
}

function dependsOn({ path, locked }: { path: string; locked: Locked }, refs: ReadonlySet<string>): string[] {
  const { dependencies, optionalDependencies, peerDependencies } = locked;
  const names = Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
  const found = names.flatMap((name) => {
    const at = resolve(path, name);
    const version = at && lock.packages[at]?.version;
    return version ? [purlOf(name, version)] : [];
  });
  return [...new Set(found)].filter((ref) => refs.has(ref)).sort();
}

const [root, ...rest] = Object.entries(lock.packages).map(([path, locked]) => ({ path, locked }));
if (!root) throw new Error('the lock file is empty');
const installed = rest.filter(({ locked }) => !locked.dev);
const shipped = new Map(
  [...installed, ...bundled()].map((each) => [purlOf(nameOf(each.path), each.locked.version), each]),
);
const refs = new Set(shipped.keys());
const self = purlOf('mooring', root.locked.version);

const bom = {
  $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  version: 1,
  metadata: {
    component: {
      type: 'application',
      'bom-ref': self,
      name: 'mooring',
      version: root.locked.version,
      licenses: [{ expression: root.locked.license }],
      purl: self,
    },
  },
  components: [...shipped.values()].map(componentOf),
  dependencies: [
    {
      ref: self,
      dependsOn: [
        ...new Set([
          ...dependsOn(root, refs),
          ...bundled().map(({ path, locked }) => purlOf(nameOf(path), locked.version)),
        ]),
      ].sort(),
    },
    ...[...shipped].map(([ref, each]) => ({ ref, dependsOn: dependsOn(each, refs) })),
  ],
};
process.stdout.write(`${JSON.stringify(bom, undefined, 2)}\n`);
