import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Config } from '../../config.js';
import { PeriodicTask } from '../periodic.task.js';
import { dayOf } from '../session.rules.js';
import { ActiveSessions } from './active.sessions.js';

/** Often enough that the journal stays short, seldom enough to cost nothing. */
const EVERY_MS = 5_000;

/** Lets go of what nobody can ask for any more, piece by piece, beside the work. */
@Injectable()
export class StoreMaintenance implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #task = new PeriodicTask(() => this.run());
  readonly #logger = new Logger(StoreMaintenance.name);

  constructor(
    private readonly sessions: ActiveSessions,
    private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    this.#task.start(EVERY_MS);
  }

  onModuleDestroy(): Promise<void> {
    return this.#task.stop();
  }

  async run(): Promise<void> {
    const { tables, clock } = this.sessions;
    const now = clock.now();
    try {
      tables.trim({
        sealedAt: now - this.config.resumeWindowMs,
        refusedUntil: now,
        day: dayOf(clock.iso()),
      });
      await this.sessions.sealOverdue();
    } catch (error) {
      this.#logger.warn(`maintenance failed: ${String(error)}`);
    }
  }
}
