import { Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { Config } from '../config.js';
import { ChatGateway } from './chat.gateway.js';

/**
 * A graceful stop: no new connections and turns, clients told to come back elsewhere, running turns finished
 * or ended with their text kept. Nest waits for it before it closes the listeners, so that bound sockets keep
 * receiving and readiness can be asked meanwhile.
 */
@Injectable()
export class DrainService implements BeforeApplicationShutdown {
  readonly #logger = new Logger(DrainService.name);

  constructor(
    private readonly gateway: ChatGateway,
    private readonly loop: AgentLoopService,
    private readonly config: Config,
  ) {}

  async beforeApplicationShutdown(signal?: string): Promise<void> {
    const { drainTimeoutMs } = this.config;
    this.#logger.log(
      `draining${signal ? ` on ${signal}` : ''}: ${this.loop.runningTurns} turns run, ${this.gateway.sockets} sockets`,
    );
    this.loop.stopAdmitting();
    this.gateway.announceDraining(drainTimeoutMs);
    await this.loop.drain(drainTimeoutMs);
    this.#logger.log('drained');
  }
}
