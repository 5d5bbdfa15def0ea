import { Injectable } from '@nestjs/common';
import type { Ending } from '../session.js';
import { beginTurn } from '../session.rules.js';
import { TurnLease, type NextTurn, type StopHandler } from '../turn.lease.js';
import { ActiveSessions, type ActiveSession } from './active.sessions.js';

/** Leases within one process: whoever claims first runs the session's turns until nothing waits. */
@Injectable()
export class EmbeddedLease extends TurnLease {
  readonly sweepMs = undefined;
  #stop: StopHandler = () => Promise.resolve(undefined);
  /** One counter for all sessions: a session that was out of memory meanwhile must not count anew. */
  #lastFence = 0;

  constructor(private readonly sessions: ActiveSessions) {
    super();
  }

  claim(sessionId: string): Promise<number | undefined> {
    return this.sessions.run(sessionId, (active) => {
      if (!active || active.claimed) return undefined;
      active.claimed = true;
      this.#lastFence += 1;
      active.fence = this.#lastFence;
      return active.fence;
    });
  }

  next(sessionId: string, fence: number): Promise<NextTurn> {
    return this.sessions.run(sessionId, async (active): Promise<NextTurn> => {
      if (!active || !holds(active, fence)) return { kind: 'deposed' };
      const { running, agent } = active.session;
      if (running) {
        const { events = [] } = this.sessions.eventsAfter(active, running.startSeq - 1, 0) ?? {};
        return { kind: 'abandoned', turn: running, agent, events };
      }
      const change = beginTurn(active.session, this.sessions.clock.iso());
      if (!change?.session.running) {
        active.claimed = false;
        return { kind: 'idle' };
      }
      await this.sessions.apply(active, change);
      return { kind: 'turn', turn: change.session.running, agent: change.session.agent };
    });
  }

  release(sessionId: string, fence: number): Promise<void> {
    return this.sessions.run(sessionId, (active) => {
      if (active && holds(active, fence)) active.claimed = false;
    });
  }

  async due(): Promise<string[]> {
    const { tables } = this.sessions;
    return tables.busy().filter((sessionId) => !this.sessions.isClaimed(sessionId));
  }

  stop(sessionId: string, turnId: string, ending: Ending): Promise<Ending | undefined> {
    return this.#stop(sessionId, turnId, ending);
  }

  onStop(handler: StopHandler): void {
    this.#stop = handler;
  }

  /** Nobody but this process can have claimed it. */
  confirm(): Promise<boolean> {
    return Promise.resolve(true);
  }

  onDeposed(): void {}
}

function holds(active: ActiveSession, fence: number): boolean {
  return active.claimed && active.fence === fence;
}
