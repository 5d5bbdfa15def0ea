import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { configMarkdown, loadConfig } from '../src/config.js';
import { complaintsOf } from './support/typescript.complaints.js';

const FOLDER = fileURLToPath(new URL('../deploy/', import.meta.url));
const read = (name: string): string => readFileSync(`${FOLDER}${name}`, 'utf8');
const KNOWN = new Set(configMarkdown().match(/\b[A-Z][A-Z_]+\b/g));
/** What a stop may take beyond DRAIN_TIMEOUT. */
const STOP_MARGIN_MS = 5_000;

const isKnown = (name: string): boolean => KNOWN.has(name.replace(/_FILE$/, ''));

describe('compose.cluster.yaml', () => {
  interface Service {
    image: string;
    command?: string;
    environment?: Record<string, string>;
    stop_grace_period?: string;
    read_only?: boolean;
  }
  const { services, secrets } = parse(read('compose.cluster.yaml'), { merge: true }) as {
    services: Record<string, Service>;
    secrets: object;
  };
  const nodes = Object.entries(services).filter(([name]) => name.startsWith('gateway'));

  it('[IMG-8] has two nodes on one Redis, with secrets by file and time for the drain', () => {
    expect(nodes).toHaveLength(2);
    for (const [, { environment = {}, stop_grace_period: grace = '', read_only: readOnly }] of nodes) {
      expect(Object.keys(environment).filter((name) => !isKnown(name))).toEqual([]);
      const { STORE, REDIS_URL } = environment;
      const { store, transports, drainTimeoutMs } = loadConfig({ STORE, REDIS_URL });
      expect([store, transports]).toEqual(['redis', ['websocket']]);
      expect(Number.parseInt(grace, 10) * 1000).toBeGreaterThan(drainTimeoutMs + STOP_MARGIN_MS);
      expect(readOnly).toBe(true);
    }
    expect(Object.keys(secrets)).toHaveLength(3);
  });

  it('[IMG-8] keeps what Redis holds, and throws nothing away', () => {
    expect(services['redis']?.command).toMatch(/--appendonly yes .*--maxmemory-policy noeviction/);
  });

  it('[IMG-8] balances over these nodes, without stickiness', () => {
    const balancer = read('nginx.cluster.conf');
    const upstreams = [...balancer.matchAll(/^ {2}server (\S+):3000/gm)].map(([, name]) => name);
    expect(upstreams).toEqual(nodes.map(([name]) => name));
    expect(balancer).not.toMatch(/ip_hash|sticky|hash /);
    const refused = /location ~\* \S+ \{\s*return 404;/;
    expect(refused.exec(balancer)?.[0]).toBe(refused.exec(read('nginx.conf'))?.[0]);
  });
});

describe('the Kubernetes manifests of many nodes', () => {
  const kinds = {
    deployment: ['kubernetes-models/apps/v1', 'IDeployment'],
    disruption: ['kubernetes-models/policy/v1', 'IPodDisruptionBudget'],
    autoscaler: ['kubernetes-models/autoscaling/v2', 'IHorizontalPodAutoscaler'],
    networkpolicy: ['kubernetes-models/networking.k8s.io/v1', 'INetworkPolicy'],
  } as const;
  const manifest = (name: string): unknown => parse(read(`kubernetes-cluster/${name}.yaml`));

  it('[IMG-8] have no field that Kubernetes does not know', () => {
    const source = Object.entries(kinds).map(
      ([name, [module, type]]) =>
        `const ${name}: import('${module}').${type} = ${JSON.stringify(manifest(name))};\n`,
    );
    expect(complaintsOf(source.join(''))).toEqual([]);
  });

  it('[IMG-8] let the nodes reach the Redis that their URL names, and have the image named once more', () => {
    const head = read('kubernetes-cluster/kustomization.yaml');
    const port = Number(/redis:\/\/[^"]*:(\d+)/.exec(head)?.[1]);
    const { spec } = manifest('networkpolicy') as {
      spec: { podSelector: object; egress: { ports: { port: number }[] }[] };
    };
    expect(spec.egress.flatMap(({ ports }) => ports.map((each) => each.port))).toContain(port);
    const one = parse(read('kubernetes/networkpolicy.yaml')) as { spec: { podSelector: object } };
    expect(spec.podSelector).toEqual(one.spec.podSelector);
    const imagesOf = (folder: string): unknown =>
      (parse(read(`${folder}/kustomization.yaml`)) as { images: unknown }).images;
    expect(imagesOf('kubernetes-cluster')).toEqual(imagesOf('kubernetes'));
  });

  it('[IMG-8] belong together, and take over what one node has', () => {
    const { resources } = manifest('kustomization') as { resources: string[] };
    const own = resources.filter((name) => name.endsWith('.yaml'));
    expect(readdirSync(`${FOLDER}kubernetes-cluster`).sort()).toEqual(['kustomization.yaml', ...own].sort());
    expect(resources).toContain('../kubernetes');
    const pod = (name: string, kind: string): Record<string, unknown> => {
      const [document] = parseAllDocuments(read(`${name}/${kind}.yaml`));
      const { spec } = document?.toJS() as { spec: { template: { spec: Record<string, unknown> } } };
      return spec.template.spec;
    };
    const [one, many] = [pod('kubernetes', 'statefulset'), pod('kubernetes-cluster', 'deployment')];
    for (const same of [
      'terminationGracePeriodSeconds',
      'automountServiceAccountToken',
      'enableServiceLinks',
    ]) {
      expect({ [same]: many[same] }).toEqual({ [same]: one[same] });
    }
    const [[a], [b]] = [one, many].map(({ containers }) => containers as Record<string, unknown>[]) as [
      [Record<string, unknown>],
      [Record<string, unknown>],
    ];
    for (const same of [
      'startupProbe',
      'livenessProbe',
      'readinessProbe',
      'lifecycle',
      'securityContext',
      'resources',
    ]) {
      expect({ [same]: b[same] }).toEqual({ [same]: a[same] });
    }
    const env = b['env'] as { name: string; value: string }[];
    expect(env.filter(({ name }) => !isKnown(name))).toEqual([]);
    expect(env).toContainEqual({ name: 'STORE', value: 'redis' });
  });
});
