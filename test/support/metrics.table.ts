import type { MetricsService } from '../../src/ops/metrics.service.js';

/** Of prom-client's own fields, those that its types leave out. */
interface Described {
  name: string;
  type: string;
  help: string;
  labelNames: string[];
}

/** What the gateway exposes beside the metrics of every Node.js process, as a Markdown table. */
export function metricsTable({ registry }: Pick<MetricsService, 'registry'>): string {
  const rows = registry
    .getMetricsAsArray()
    .map((metric) => metric as unknown as Described)
    .filter(({ name }) => /^(mooring|gen_ai)_/.test(name))
    .map(({ name, type, help, labelNames }) => {
      const labels = labelNames.filter((label) => label !== 'le').map((label) => `\`${label}\``);
      return `| \`${name}\` | ${type} | ${labels.join(', ')} | ${help} |`;
    });
  return ['| metric | type | labels | what it is |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
