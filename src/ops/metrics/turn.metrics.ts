import { Injectable } from '@nestjs/common';
import { Counter, Histogram } from 'prom-client';
import { AgentLoopService } from '../../agents/agent-loop.service.js';
import { TurnWorkers } from '../../agents/turn.workers.js';
import { TurnObservers, type TurnReport } from '../../agents/turn.observer.js';
import { Config } from '../../config.js';
import type { Instruments } from './instruments.js';

/** Seconds; a human waits for the first token, a turn takes up to minutes. */
const FIRST_TOKEN_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const TURN_BUCKETS = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900];
const WAIT_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300];

/** Turns: how many run and wait, how they end, how long they take, what they cost. */
@Injectable()
export class TurnMetrics {
  constructor(
    private readonly loop: AgentLoopService,
    private readonly workers: TurnWorkers,
    private readonly observers: TurnObservers,
    private readonly config: Config,
  ) {}

  register(to: Instruments): void {
    const { loop, workers, config } = this;
    const registers = [to.registry];
    to.gauge({ name: 'mooring_turns_running', help: 'Turns that run now.' }, () => workers.running);
    to.gauge(
      { name: 'mooring_turns_waiting', help: "Turns that wait for a place of the node's or their owner's." },
      () => workers.waiting,
    );
    to.gauge(
      { name: 'mooring_turns_limit', help: 'How many turns may run at once (MAX_TURNS).' },
      () => config.maxTurns,
    );
    to.counter(
      {
        name: 'mooring_orphans_ended_total',
        help: 'Sessions whose turns were ended since nobody watched them for too long.',
      },
      () => workers.orphansEnded,
    );
    to.counter(
      {
        name: 'mooring_token_limit_refusals_total',
        help: "Turns refused since a day's tokens were used up.",
      },
      () => loop.spentRefusals,
    );
    const turns = new Counter({
      name: 'mooring_turns_total',
      help: 'Turns that ended, by their state, its cause, and their agent.',
      labelNames: ['state', 'cause', 'agent'],
      registers,
    });
    const tokens = new Counter({
      name: 'mooring_tokens_total',
      help: 'Tokens of ended turns, as the vendor said or estimated.',
      labelNames: ['direction', 'estimated', 'agent'],
      registers,
    });
    const histogram = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name, help, buckets, registers });
    const firstToken = histogram(
      'mooring_first_token_seconds',
      'From the begin of a turn to the first content of the model.',
      FIRST_TOKEN_BUCKETS,
    );
    const turnTime = histogram('mooring_turn_seconds', 'From the begin of a turn to its end.', TURN_BUCKETS);
    const wait = histogram(
      'mooring_turn_wait_seconds',
      'From the acceptance of a turn to its begin: turns before it in its session, and for a place.',
      WAIT_BUCKETS,
    );

    const observe = ({ state, cause, agent, durationMs, firstTokenMs, usage }: TurnReport): void => {
      turns.inc({ state, cause, agent });
      if (durationMs !== undefined) turnTime.observe(durationMs / 1_000);
      if (firstTokenMs !== undefined) firstToken.observe(firstTokenMs / 1_000);
      if (!usage) return;
      const estimated = String(usage.estimated);
      tokens.inc({ direction: 'input', estimated, agent }, usage.inputTokens);
      tokens.inc({ direction: 'output', estimated, agent }, usage.outputTokens);
    };
    this.observers.add({
      begin: ({ waitedMs }) => {
        if (waitedMs !== undefined) wait.observe(waitedMs / 1_000);
        return { ended: (report) => report && observe(report) };
      },
    });
  }
}
