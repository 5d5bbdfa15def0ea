import { Controller, Get, Header, Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { TurnRunner, type TurnReport } from '../agents/turn.runner.js';
import { ChatGateway } from '../gateway/chat.gateway.js';
import { SessionBindings } from '../sessions/session.bindings.js';
import { SessionService } from '../sessions/session.service.js';
import { SessionStore } from '../sessions/session.store.js';
import { StreamingService } from '../streaming/session.emitter.js';

/** Seconds; a human waits for the first token, a turn takes up to minutes. */
const FIRST_TOKEN_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const TURN_BUCKETS = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900];

/** Prometheus metrics: services keep plain counters, which are read when they are scraped. */
@Injectable()
export class MetricsService {
  readonly registry = new Registry();
  readonly #turns: Counter;
  readonly #tokens: Counter;
  readonly #firstToken: Histogram;
  readonly #turnTime: Histogram;

  constructor(
    loop: AgentLoopService,
    runner: TurnRunner,
    gateway: ChatGateway,
    bindings: SessionBindings,
    sessions: SessionService,
    streaming: StreamingService,
    store: SessionStore,
  ) {
    const { registry } = this;
    const registers = [registry];
    collectDefaultMetrics({ register: registry });
    this.#turns = new Counter({
      name: 'mooring_turns_total',
      help: 'Turns that ended, by their state and its cause.',
      labelNames: ['state', 'cause'],
      registers,
    });
    this.#tokens = new Counter({
      name: 'mooring_tokens_total',
      help: 'Tokens of ended turns, as the vendor said or estimated.',
      labelNames: ['direction', 'estimated'],
      registers,
    });
    this.#firstToken = new Histogram({
      name: 'mooring_first_token_seconds',
      help: 'From the begin of a turn to the first content of the model.',
      buckets: FIRST_TOKEN_BUCKETS,
      registers,
    });
    this.#turnTime = new Histogram({
      name: 'mooring_turn_seconds',
      help: 'From the begin of a turn to its end.',
      buckets: TURN_BUCKETS,
      registers,
    });
    runner.onEnded((report) => this.#observe(report));

    gauge('mooring_sockets', 'Open sockets.', () => gateway.sockets);
    new Gauge({
      name: 'mooring_sessions',
      help: 'Sessions by state: attached to a socket, detached, or orphaned (detached with an open turn).',
      labelNames: ['state'],
      registers,
      async collect(): Promise<void> {
        // Without its store a node still has metrics.
        const census = await store.census().catch(() => undefined);
        for (const [state, sessions] of Object.entries(census ?? {})) this.set({ state }, sessions);
      },
    });
    gauge('mooring_turns_running', 'Turns that run now.', () => loop.runningTurns);
    counter('mooring_events_appended_total', 'Events appended by turns.', () => streaming.appendedEvents);
    counter(
      'mooring_events_sent_total',
      'Events sent live, once for each socket.',
      () => bindings.sentEvents,
    );
    counter(
      'mooring_dropped_sends_total',
      'Events recorded while no socket was bound.',
      () => streaming.droppedSends,
    );
    counter(
      'mooring_catch_ups_total',
      'Times a socket that fell behind was served from the log.',
      () => bindings.catchUps,
    );
    counter('mooring_sessions_expired_total', 'Sessions that expired.', () => sessions.expired);
    new Counter({
      name: 'mooring_opens_total',
      help: 'Opened sessions: created, replayed (exactly what was missed), or by a snapshot.',
      labelNames: ['kind'],
      registers,
      collect(): void {
        this.reset();
        for (const [kind, opens] of Object.entries(sessions.opens)) this.inc({ kind }, opens);
      },
    });

    function gauge(name: string, help: string, read: () => number): void {
      new Gauge({
        name,
        help,
        registers,
        collect(): void {
          this.set(read());
        },
      });
    }
    function counter(name: string, help: string, read: () => number): void {
      new Counter({
        name,
        help,
        registers,
        collect(): void {
          this.reset();
          this.inc(read());
        },
      });
    }
  }

  #observe({ state, cause, durationMs, firstTokenMs, usage }: TurnReport): void {
    this.#turns.inc({ state, cause });
    this.#turnTime.observe(durationMs / 1_000);
    if (firstTokenMs !== undefined) this.#firstToken.observe(firstTokenMs / 1_000);
    if (!usage) return;
    const estimated = String(usage.estimated);
    this.#tokens.inc({ direction: 'input', estimated }, usage.inputTokens);
    this.#tokens.inc({ direction: 'output', estimated }, usage.outputTokens);
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
