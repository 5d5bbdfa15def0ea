import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Distribution } from '../../streaming/distribution.js';

/** What a metric is called, and what it says. Counters end in `_total`, units are seconds and bytes. */
export interface Described {
  name: string;
  help: string;
}

/** What a service has counted, by a label's value. */
type Counts = Readonly<Record<string, number | undefined>>;

/** Makes metrics of what services count by themselves: it is read when it is scraped, and costs nothing before. */
export class Instruments {
  constructor(readonly registry: Registry) {}

  gauge(described: Described, read: () => number): void {
    new Gauge({
      ...described,
      registers: [this.registry],
      collect(): void {
        this.set(read());
      },
    });
  }

  /** As above, where the answer takes a while. @param read never rejects */
  asked(described: Described, read: () => Promise<number>): void {
    new Gauge({
      ...described,
      registers: [this.registry],
      async collect(): Promise<void> {
        this.set(await read());
      },
    });
  }

  gauges(described: Described, label: string, read: () => Counts | Promise<Counts>): void {
    new Gauge({
      ...described,
      labelNames: [label],
      registers: [this.registry],
      async collect(): Promise<void> {
        this.reset();
        for (const [value, count = 0] of Object.entries(await read())) this.set({ [label]: value }, count);
      },
    });
  }

  counter(described: Described, read: () => number): void {
    new Counter({
      ...described,
      registers: [this.registry],
      collect(): void {
        this.reset();
        this.inc(read());
      },
    });
  }

  counters(described: Described, label: string, read: () => Counts): void {
    new Counter({
      ...described,
      labelNames: [label],
      registers: [this.registry],
      collect(): void {
        this.reset();
        for (const [value, count = 0] of Object.entries(read())) this.inc({ [label]: value }, count);
      },
    });
  }

  distribution(described: Described, distribution: Distribution): void {
    this.registry.registerMetric(new DistributionMetric(described, distribution));
  }
}

/** A histogram whose buckets somebody else fills. */
class DistributionMetric extends Histogram {
  constructor(
    private readonly described: Described,
    private readonly distribution: Distribution,
  ) {
    super({ ...described, buckets: [...distribution.bounds], registers: [] });
  }

  /** What the registry writes. */
  async getForPromString(): Promise<object> {
    const { name, help } = this.described;
    const { bounds, counts, count, sum } = this.distribution;
    let below = 0;
    const values = [...bounds, '+Inf'].map((le, index) => {
      below += counts[index] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le }, value: below };
    });
    const totals = [
      { metricName: `${name}_sum`, labels: {}, value: sum },
      { metricName: `${name}_count`, labels: {}, value: count },
    ];
    return { name, help, type: 'histogram', values: [...values, ...totals] };
  }
}
