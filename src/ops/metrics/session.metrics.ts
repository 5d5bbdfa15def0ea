import { Injectable } from '@nestjs/common';
import { AgentLoopService } from '../../agents/agent-loop.service.js';
import { SessionBindings } from '../../sessions/session.bindings.js';
import { SessionService } from '../../sessions/session.service.js';
import { SessionStore } from '../../sessions/session.store.js';
import { FlushClock } from '../../streaming/flush.clock.js';
import { StreamingService } from '../../streaming/session.emitter.js';
import type { Instruments } from './instruments.js';

/** Sessions, what is written to their logs, and what reaches sockets. */
@Injectable()
export class SessionMetrics {
  constructor(
    private readonly store: SessionStore,
    private readonly sessions: SessionService,
    private readonly bindings: SessionBindings,
    private readonly streaming: StreamingService,
    private readonly clock: FlushClock,
    private readonly loop: AgentLoopService,
  ) {}

  register(to: Instruments): void {
    const { store, sessions, bindings, streaming, clock, loop } = this;
    to.gauges(
      {
        name: 'mooring_sessions',
        help: 'Sessions by state: attached to a socket, detached, or orphaned (detached with an open turn).',
      },
      'state',
      // Without its store a node still has metrics.
      async () => ({ ...(await store.census().catch(() => ({}))) }),
    );
    to.asked({ name: 'mooring_store_up', help: 'Whether the session store answers.' }, () =>
      store.ping().then(
        () => 1,
        () => 0,
      ),
    );
    to.counters(
      {
        name: 'mooring_opens_total',
        help: 'Opened sessions: created, replayed (exactly what was missed), or by a snapshot.',
      },
      'kind',
      () => sessions.opens,
    );
    to.counter(
      {
        name: 'mooring_resumes_lost_total',
        help: 'Clients that came back with a position and got a snapshot: what they missed was not there any more.',
      },
      () => sessions.lostResumes,
    );
    to.counter(
      { name: 'mooring_sessions_closed_total', help: 'Sessions that a client or an operator closed.' },
      () => loop.closedSessions,
    );
    to.counter(
      { name: 'mooring_sessions_expired_total', help: 'Sessions that expired.' },
      () => sessions.expired,
    );
    to.counter(
      { name: 'mooring_events_appended_total', help: 'Events appended by turns.' },
      () => streaming.appendedEvents,
    );
    to.counter(
      { name: 'mooring_events_sent_total', help: 'Events sent live, once for each socket.' },
      () => bindings.sentEvents,
    );
    to.counter(
      { name: 'mooring_dropped_sends_total', help: 'Events recorded while no socket was bound.' },
      () => streaming.droppedSends,
    );
    to.counter(
      {
        name: 'mooring_catch_ups_total',
        help: 'Times a socket that fell behind was served from the log.',
      },
      () => bindings.catchUps,
    );
    to.distribution(
      { name: 'mooring_append_seconds', help: 'From an append to its events being durable.' },
      streaming.appendTime,
    );
    to.counter(
      {
        name: 'mooring_append_failures_total',
        help: 'Appends that the store did not take, and that were tried again.',
      },
      () => streaming.failedAppends + store.repeatedAppends,
    );
    to.distribution(
      { name: 'mooring_flush_lateness_seconds', help: 'By how much flushes came later than they were due.' },
      clock.lateness,
    );
  }
}
