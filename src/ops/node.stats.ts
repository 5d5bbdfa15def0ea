import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { TurnWorkers } from '../agents/turn.workers.js';
import { TurnObservers, type TurnReport } from '../agents/turn.observer.js';
import { Clock } from '../clock.js';
import { Config } from '../config.js';
import { ChatGateway } from '../gateway/chat.gateway.js';
import { SessionBindings } from '../sessions/session.bindings.js';
import { SessionService } from '../sessions/session.service.js';
import { SessionStore } from '../sessions/session.store.js';
import { StreamingService } from '../streaming/session.emitter.js';
import type { AdminHistory, AdminStats } from './admin.api.js';
import { VERSION } from './package.version.js';
import { StatsHistory, type Observation } from './stats.history.js';

const SAMPLE_MS = 2_000;
/** Five minutes: what an operator who was just called wants to see. */
const SAMPLES = 150;
const RATE_WINDOW_MS = 10_000;
/** How often the event loop is asked how late it is. What it measures includes this. */
const LOOP_RESOLUTION_MS = 20;

/**
 * What this node does, for whoever watches it now. Nothing is counted here but ends of turns: the services keep their
 * counters, which are looked at every two seconds, and only where there is an admin to ask.
 */
@Injectable()
export class NodeStats implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #history = new StatsHistory(SAMPLES);
  readonly #turns = { completed: 0, cancelled: 0, interrupted: 0, failed: 0 };
  readonly #tokens = { input: 0, output: 0 };
  #delay?: ReturnType<typeof monitorEventLoopDelay>;
  /** Of the sample before, so that one that was just begun hides nothing. */
  #delayBefore = 0;
  #timer?: NodeJS.Timeout;

  constructor(
    private readonly gateway: ChatGateway,
    private readonly loop: AgentLoopService,
    private readonly workers: TurnWorkers,
    private readonly bindings: SessionBindings,
    private readonly sessions: SessionService,
    private readonly streaming: StreamingService,
    private readonly store: SessionStore,
    private readonly clock: Clock,
    private readonly config: Config,
    observers: TurnObservers,
  ) {
    observers.add({ begin: () => ({ ended: (report) => report && this.#count(report) }) });
  }

  onApplicationBootstrap(): void {
    if (this.config.adminToken === undefined) return;
    this.#delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
    this.#delay.enable();
    this.#history.add(this.#observe());
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#timer.unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.#timer);
    this.#delay?.disable();
  }

  async now(): Promise<AdminStats> {
    // Without its store a node still has figures.
    const census = await this.store.census().catch(() => null);
    const observation = this.#observe();
    const { at, streams, orphans, counters } = observation;
    const { rss, heapUsed } = process.memoryUsage();
    return {
      at,
      node: {
        version: VERSION,
        pid: process.pid,
        uptimeMs: Math.round(process.uptime() * 1_000),
        draining: this.loop.draining,
      },
      sessions: census,
      sockets: this.gateway.sockets,
      streams,
      orphans,
      orphansEnded: this.workers.orphansEnded,
      unsentBytes: this.bindings.unsentBytes,
      turns: { ...this.#turns },
      events: { appended: counters.events, sent: this.bindings.sentEvents },
      droppedSends: counters.droppedSends,
      catchUps: this.bindings.catchUps,
      opens: { ...this.sessions.opens },
      sessionsExpired: this.sessions.expired,
      tokens: { ...this.#tokens },
      rates: this.#history.rates(observation, RATE_WINDOW_MS),
      eventLoopDelayMs: Math.max(this.#delayBefore, this.#delayNow()),
      memory: { rss, heapUsed },
    };
  }

  history(): AdminHistory {
    return { everyMs: SAMPLE_MS, samples: this.#history.samples() };
  }

  #sample(): void {
    this.#history.add(this.#observe());
    this.#delayBefore = this.#delayNow();
    this.#delay?.reset();
  }

  #observe(): Observation {
    const { completed, cancelled, interrupted, failed } = this.#turns;
    const { replayed, snapshot } = this.sessions.opens;
    return {
      at: this.clock.now(),
      streams: this.workers.running,
      orphans: this.workers.orphans,
      counters: {
        turns: completed + cancelled + interrupted + failed,
        events: this.streaming.appendedEvents,
        droppedSends: this.streaming.droppedSends,
        resumes: replayed + snapshot,
        tokens: this.#tokens.input + this.#tokens.output,
      },
    };
  }

  #delayNow(): number {
    const { max = 0 } = this.#delay ?? {};
    return Math.max(0, Math.round(max / 1e6) - LOOP_RESOLUTION_MS);
  }

  #count({ state, usage }: TurnReport): void {
    this.#turns[state] += 1;
    this.#tokens.input += usage?.inputTokens ?? 0;
    this.#tokens.output += usage?.outputTokens ?? 0;
  }
}
