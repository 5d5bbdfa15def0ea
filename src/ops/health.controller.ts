import { Controller, Get, ServiceUnavailableException } from '@nestjs/common';
import { AgentLoopService } from '../agents/agent-loop.service.js';
import { SessionStore } from '../sessions/session.store.js';

/** A store that has not answered by then counts as out of reach. */
const STORE_ANSWER_MS = 1_500;

@Controller('health')
export class HealthController {
  constructor(
    private readonly loop: AgentLoopService,
    private readonly store: SessionStore,
  ) {}

  /** 200 while the process runs. */
  @Get('live')
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** 200, or 503 while draining or without the store. */
  @Get('ready')
  async ready(): Promise<{ status: 'ok' }> {
    if (this.loop.draining) throw new ServiceUnavailableException({ status: 'draining' });
    if (!(await this.#storeAnswers())) throw new ServiceUnavailableException({ status: 'store unavailable' });
    return { status: 'ok' };
  }

  async #storeAnswers(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), STORE_ANSWER_MS);
    });
    try {
      return await Promise.race([
        this.store.ping().then(
          () => true,
          () => false,
        ),
        late,
      ]);
    } finally {
      clearTimeout(timer);
    }
  }
}
