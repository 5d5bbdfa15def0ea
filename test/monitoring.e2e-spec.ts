import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { MetricsService } from '../src/ops/metrics.service.js';
import { parseExposition } from './support/exposition.js';
import { disposeAll, gateway } from './support/gateway.js';
import { metricsTable } from './support/metrics.table.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ALERTS = join(ROOT, 'deploy/prometheus/alerts.yaml');
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8');

/** Prometheus's own checker, where it is installed (Debian: package prometheus). */
const hasPromtool = spawnSync('promtool', ['--version']).status === 0;
const NO_PROMTOOL = 'promtool is not installed: apt-get install prometheus';
if (!hasPromtool && process.env['CI'] === 'true') throw new Error(NO_PROMTOOL);

interface Rule {
  alert: string;
  expr: string;
  for?: string;
  labels: { severity: string };
  annotations: { summary: string; runbook_url: string };
}
interface Panel {
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string; legendFormat?: string }[];
}

const rules = (
  parse(read('deploy/prometheus/alerts.yaml')) as { groups: { rules: Rule[] }[] }
).groups.flatMap((group) => group.rules);
const { panels } = JSON.parse(read('deploy/grafana/mooring.json')) as { panels: Panel[] };
const queries = panels.flatMap(({ targets = [] }) => targets);

/** Of a series' selector in PromQL: its metric, and the labels that it names. */
function selectorsIn(expr: string): { metric: string; labels: string[] }[] {
  return [...expr.matchAll(/\b((?:mooring|gen_ai|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)]
    .filter(([, metric = '']) => !LABELS.test(metric))
    .map(([, metric = '', inside = '']) => ({
      metric,
      labels: [...inside.matchAll(/(\w+)(?==~|!~|!=|=)/g)].map(([, label = '']) => label),
    }));
}
const LABELS = /^gen_ai_(request_model|tool_name|token_type|operation_name|provider_name)$/;
/** Which Prometheus adds, and the table's own. */
const OF_PROMETHEUS = ['job', 'instance', 'le'];

function groupingsIn(expr: string): string[] {
  return [...expr.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, inside = '']) => inside.split(/, */));
}

describe('what watches the gateway', () => {
  afterEach(disposeAll);

  it('[OBS-8] asks for metrics and labels that it exposes, and shows all that is counted', async () => {
    const { url, get } = await gateway();
    const families = parseExposition(await (await fetch(`${url}/metrics`)).text());
    const labelsOf = new Map(
      get(MetricsService)
        .registry.getMetricsAsArray()
        .map((metric) => metric as typeof metric & { labelNames: string[] })
        .map(({ name, labelNames }) => [name, labelNames]),
    );
    const baseOf = (metric: string): string => {
      const base = metric.replace(/_(bucket|sum|count)$/, '');
      return families.get(base)?.type === 'histogram' ? base : metric;
    };
    const asked = [...rules, ...queries].map(({ expr }) => expr);
    for (const expr of asked) {
      const selectors = selectorsIn(expr);
      if (!expr.startsWith('up{')) expect(selectors).not.toEqual([]);
      const known = new Set(OF_PROMETHEUS);
      for (const { metric, labels } of selectors) {
        expect({ metric, exposed: families.has(baseOf(metric)) }).toEqual({ metric, exposed: true });
        const has = [...OF_PROMETHEUS, ...(labelsOf.get(baseOf(metric)) ?? [])];
        expect({ expr, unknown: labels.filter((label) => !has.includes(label)) }).toEqual({
          expr,
          unknown: [],
        });
        has.forEach((label) => known.add(label));
      }
      expect({ expr, unknown: groupingsIn(expr).filter((label) => !known.has(label)) }).toEqual({
        expr,
        unknown: [],
      });
    }
    const shown = new Set(
      queries.flatMap(({ expr }) => selectorsIn(expr)).map(({ metric }) => baseOf(metric)),
    );
    const hidden = [...families.keys()].filter((name) => /^(mooring|gen_ai)_/.test(name) && !shown.has(name));
    expect(hidden).toEqual([]);
  });

  it('[OBS-8] the alerts are rules, each with its section of the runbook, and none of that is left over', () => {
    const runbook = read('docs/runbook.md');
    const sections = [...runbook.matchAll(/^### (Mooring\w+)$/gm)].map(([, name = '']) => name);
    expect(rules.map(({ alert }) => alert).sort()).toEqual(sections.sort());
    expect(new Set(sections).size).toBe(sections.length);
    for (const { alert, expr, for: pause = '1m', labels, annotations } of rules) {
      expect(annotations.runbook_url.split('docs/runbook.md#')[1]).toBe(alert.toLowerCase());
      expect(['critical', 'warning']).toContain(labels.severity);
      expect(pause).toMatch(/^\d+m$/);
      expect(annotations.summary).toMatch(/\.$/);
      expect(balanced(expr)).toBe(true);
    }
    // What it links to within itself is there.
    const headings = [...runbook.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => anchorOf(title));
    for (const [, anchor = ''] of runbook.matchAll(/\]\(#([^)]+)\)/g)) expect(headings).toContain(anchor);
    const variables = read('docs/configuration.md');
    const named = [...runbook.matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=\w+)?`/g)].map(([, name = '']) => name);
    expect(named.length).toBeGreaterThan(20);
    for (const name of named) expect(variables).toContain(`\`${name}\``);
  });

  it('[OBS-8] the dashboard has no panel over another, and none without a query', () => {
    const cells = new Set<string>();
    for (const { type, title, gridPos, targets = [] } of panels) {
      if (type !== 'row') expect({ title, queries: targets.length > 0 }).toEqual({ title, queries: true });
      for (const { expr } of targets) expect(balanced(expr)).toBe(true);
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(cells.has(`${x} ${y}`)).toBe(false);
          cells.add(`${x} ${y}`);
        }
    }
  });

  it('[OBS-9] the documentation lists what is exposed', async () => {
    const { get } = await gateway();
    expect(read('docs/observability.md')).toContain(metricsTable(get(MetricsService)));
  });

  if (!hasPromtool) it.skip(NO_PROMTOOL, () => undefined);
  (hasPromtool ? it : it.skip)('[OBS-1] [OBS-8] Prometheus itself has no complaint', async () => {
    const { url } = await gateway();
    const input = await (await fetch(`${url}/metrics`)).text();
    const checked = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
    expect([checked.status, checked.stderr]).toEqual([0, '']);
    execFileSync('promtool', ['check', 'rules', ALERTS]);
    execFileSync('promtool', ['test', 'rules', join(ROOT, 'deploy/prometheus/alerts.test.yaml')]);
  });
});

function balanced(expr: string): boolean {
  let open = 0;
  for (const sign of expr.replace(/"[^"]*"/g, '')) {
    if ('([{'.includes(sign)) open += 1;
    if (')]}'.includes(sign)) open -= 1;
    if (open < 0) return false;
  }
  return open === 0;
}

function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .replace(/\s/g, '-');
}
