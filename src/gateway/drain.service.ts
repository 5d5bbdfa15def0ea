import { setTimeout } from 'node:timers/promises';
import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { Config } from '../config.js';
import { ChatGateway } from './chat.gateway.js';

/** How long clients are waited for that are slow to take the last events. */
const FLUSH_MS = 1_000;

/**
 * A graceful stop: no new connections and turns, clients told to come back elsewhere, running turns finished
 * or ended with their text kept. Nest waits for it before it closes the listeners, so that bound sockets keep
 * receiving and readiness can be asked meanwhile.
 */
@Injectable()
export class DrainService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #logger = new Logger(DrainService.name);
  #started = false;

  constructor(
    private readonly gateway: ChatGateway,
    private readonly loop: AgentLoopService,
    private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    this.#started = true;
  }

  async beforeApplicationShutdown(signal?: string): Promise<void> {
    // A start that failed has nobody to tell.
    if (!this.#started) return;
    const { drainTimeoutMs } = this.config;
    this.#logger.log(
      `draining${signal ? ` on ${signal}` : ''}: ${this.loop.runningTurns} turns run, ${this.gateway.sockets} sockets`,
    );
    this.loop.stopAdmitting();
    this.gateway.announceDraining(drainTimeoutMs);
    await this.loop.drain(drainTimeoutMs);
    // A transport that is closed drops what it has not written: the ends of the turns among it.
    await Promise.race([this.gateway.flushed(), setTimeout(FLUSH_MS, undefined, { ref: false })]);
    this.#logger.log('drained');
  }
}
