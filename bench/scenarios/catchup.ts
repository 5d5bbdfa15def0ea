/** How soon a client that comes back amid an answer has what it missed. */
import type { Resumed } from '../resumes.ts';
import { quantile } from '../stats.ts';
import type { Scenario } from './scenario.ts';

export const catchup: Scenario = {
  name: 'catchup',
  hasTails: true,
  what: ({ catchup: { sessions, tokens, rate } }) =>
    `${sessions} sessions cut off and back amid an answer of ${tokens} tokens at ${rate} tokens/s, again and again`,
  contenders: ['mooring-memory', 'mooring-sqlite', 'mooring-redis', 'mooring-redis-2'],
  figures: () => ({
    p50: { title: 'opening the connection until caught up, p50', unit: 'ms' },
    p99: { title: 'opening the connection until caught up, p99', unit: 'ms' },
    roundTripP50: { title: 'the same from the open transport on, p50', unit: 'ms' },
    roundTripP99: { title: 'the same from the open transport on, p99', unit: 'ms' },
    roundTrips: { title: 'round trips from there', unit: 'round trips' },
    missedP50: { title: 'tokens that were missed, p50', unit: 'tokens', detail: true },
    resumes: { title: 'how often', unit: 'resumes', detail: true },
  }),
  measure: (run, contender) =>
    run.against(contender, async (server, load) => {
      const { sessions, tokens, rate, pauseMs } = run.size.catchup;
      const order = { urls: server.at.urls, sessions, pauseMs };
      await load.call<Resumed>('resumes', { ...order, ask: { tokens: tokens / 4, rate } });
      const resumed = await run.alone(() =>
        load.call<Resumed>('resumes', { ...order, ask: { tokens, rate } }),
      );
      run.lost(resumed.lost, sessions);
      return {
        p50: quantile(resumed.ms, 0.5),
        p99: quantile(resumed.ms, 0.99),
        roundTripP50: quantile(resumed.handshakeMs, 0.5),
        roundTripP99: quantile(resumed.handshakeMs, 0.99),
        roundTrips: resumed.roundTrips,
        missedP50: quantile(resumed.missed, 0.5),
        resumes: resumed.ms.length,
      };
    }),
};
