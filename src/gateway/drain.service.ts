import { setTimeout } from 'node:timers/promises';
import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { TurnWorkers } from '../agents/turn.workers.js';
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
  #asked = false;
  #draining?: Promise<void>;
  #stop: (() => void) | undefined;

  constructor(
    private readonly gateway: ChatGateway,
    private readonly loop: AgentLoopService,
    private readonly workers: TurnWorkers,
    private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    this.#started = true;
  }

  /** How the process that this gateway runs in is stopped; without one a request to drain leaves it running. */
  onRequested(stop: () => void): void {
    this.#stop = stop;
  }

  /** Somebody with the right to asks for the stop. Asking again hastens nothing, unlike a second signal. */
  request(): void {
    if (this.#asked) return;
    this.#asked = true;
    // At once, whatever else a stop has to do first.
    this.loop.stopAdmitting();
    if (this.#stop) this.#stop();
    else this.#drain().catch((error: unknown) => this.#logger.error(error));
  }

  async beforeApplicationShutdown(): Promise<void> {
    // A start that failed has nobody to tell.
    if (this.#started) await this.#drain();
  }

  #drain(): Promise<void> {
    return (this.#draining ??= this.#drainOnce());
  }

  async #drainOnce(): Promise<void> {
    const { drainTimeoutMs } = this.config;
    this.#logger.log(`draining: ${this.workers.running} turns run, ${this.gateway.sockets} sockets`);
    this.loop.stopAdmitting();
    this.gateway.announceDraining(drainTimeoutMs);
    await this.loop.drain(drainTimeoutMs);
    // A transport that is closed drops what it has not written: the ends of the turns among it.
    await Promise.race([this.gateway.flushed(), setTimeout(FLUSH_MS, undefined, { ref: false })]);
    this.#logger.log('drained');
  }
}
