import { Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Gauge } from 'prom-client';
import { AgentLoopService } from '../../agents/agent-loop.service.js';
import { Config } from '../../config.js';
import { VERSION } from '../package.version.js';
import type { Instruments } from './instruments.js';

/** Which `_total` says of counters only; the sums of metrics that stay. */
const GAUGES_CALLED_TOTAL = [
  'nodejs_active_resources_total',
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
];

/** The process: what it is, whether it takes turns; and what every Node.js process has. */
@Injectable()
export class NodeMetrics {
  constructor(
    private readonly loop: AgentLoopService,
    private readonly config: Config,
  ) {}

  register(to: Instruments): void {
    const { loop, config } = this;
    collectDefaultMetrics({ register: to.registry });
    for (const name of GAUGES_CALLED_TOTAL) to.registry.removeSingleMetric(name);
    new Gauge({
      name: 'mooring_build_info',
      help: 'Always 1; its labels say what runs.',
      labelNames: ['version', 'node', 'store'],
      registers: [to.registry],
    }).set({ version: VERSION, node: process.version, store: config.store }, 1);
    to.gauge({ name: 'mooring_draining', help: 'Whether it is stopping, and takes no new turns.' }, () =>
      Number(loop.draining),
    );
  }
}
