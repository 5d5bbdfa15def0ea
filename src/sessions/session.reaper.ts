import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Config } from '../config.js';
import { PeriodicTask } from './periodic.task.js';
import { SessionService } from './session.service.js';

/** Sweeps often enough that a session outlives its time by a tenth at most, and not more than each second. */
const SWEEP_MIN_MS = 1_000;
const SWEEP_MAX_MS = 30_000;

/** Periodically ends the sessions that nobody came back to. */
@Injectable()
export class SessionReaper implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #task = new PeriodicTask(() => this.sweep());
  readonly #logger = new Logger(SessionReaper.name);

  constructor(
    private readonly sessions: SessionService,
    private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    const every = Math.min(SWEEP_MAX_MS, Math.max(SWEEP_MIN_MS, this.config.sessionTtlMs / 10));
    this.#task.start(every);
  }

  onModuleDestroy(): Promise<void> {
    return this.#task.stop();
  }

  async sweep(): Promise<void> {
    try {
      const expired = await this.sessions.expireIdle();
      if (expired > 0) this.#logger.log(`expired ${expired} idle sessions`);
    } catch (error) {
      this.#logger.warn(`sweep failed: ${String(error)}`);
    }
  }
}
