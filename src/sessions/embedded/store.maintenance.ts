import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Config } from '../../config.js';
import { ActiveSessions } from './active.sessions.js';

/** Often enough that the journal stays short, seldom enough to cost nothing. */
const EVERY_MS = 5_000;

/** Lets go of what nobody can ask for any more, piece by piece, beside the work. */
@Injectable()
export class StoreMaintenance implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #logger = new Logger(StoreMaintenance.name);
  #timer?: NodeJS.Timeout;
  #running?: Promise<void>;

  constructor(
    private readonly sessions: ActiveSessions,
    private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      this.#running ??= this.run().finally(() => (this.#running = undefined));
    }, EVERY_MS);
    this.#timer.unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  async run(): Promise<void> {
    const { tables, clock } = this.sessions;
    const now = clock.now();
    try {
      tables.trim({ sealedAt: now - this.config.resumeWindowMs, refusedUntil: now });
      await this.sessions.sealOverdue();
    } catch (error) {
      this.#logger.warn(`maintenance failed: ${String(error)}`);
    }
  }
}
