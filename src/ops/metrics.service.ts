import { Controller, Get, Header, Injectable } from '@nestjs/common';
import { Registry } from 'prom-client';
import { ConnectionMetrics } from './metrics/connection.metrics.js';
import { Instruments } from './metrics/instruments.js';
import { ModelMetrics } from './metrics/model.metrics.js';
import { NodeMetrics } from './metrics/node.metrics.js';
import { SessionMetrics } from './metrics/session.metrics.js';
import { TurnMetrics } from './metrics/turn.metrics.js';

/** The subjects, each a provider that registers its metrics. */
export const METRICS = [NodeMetrics, ConnectionMetrics, SessionMetrics, TurnMetrics, ModelMetrics];

/** Prometheus metrics: services keep plain counters, which are read when they are scraped. */
@Injectable()
export class MetricsService {
  readonly registry = new Registry();

  constructor(
    node: NodeMetrics,
    connections: ConnectionMetrics,
    sessions: SessionMetrics,
    turns: TurnMetrics,
    models: ModelMetrics,
  ) {
    const instruments = new Instruments(this.registry);
    for (const subject of [node, connections, sessions, turns, models]) subject.register(instruments);
  }
}

@Controller('metrics')
export class MetricsController {
  constructor(private readonly metrics: MetricsService) {}

  @Get()
  @Header('Content-Type', Registry.PROMETHEUS_CONTENT_TYPE)
  scrape(): Promise<string> {
    return this.metrics.registry.metrics();
  }
}
