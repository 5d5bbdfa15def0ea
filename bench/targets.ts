/** What Mooring must reach, and what it aims at; each is a figure of which less is better. */
import type { Contender } from './contenders.ts';
import type { Results } from './results.ts';
import { SATURATED_CORES } from './run.ts';
import type { Size } from './sizes.ts';

export interface Target {
  figure: string;
  unit: string;
  must: number;
  aim: number;
  /** What it rests on, beside the contender that it is of. */
  scenario: string;
  /** Mooring on SQLite by default. */
  of?: Contender;
  against?: Contender;
  /** Undefined: not measured in this run. */
  value(results: Results, size: Size): number | undefined;
}

/** `FLUSH_INTERVAL` as it is by default, in milliseconds. */
export const FLUSH_INTERVAL_MS = 40;

function quotient(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || !b ? undefined : a / b;
}

export const TARGETS: readonly Target[] = [
  {
    figure: 'CPU a token, paced, against the raw Socket.IO relay',
    scenario: 'paced',
    against: 'socketio-relay',
    unit: '×',
    must: 0.8,
    aim: 0.5,
    value: (results) => results.ratio('paced', 'cpu', 'mooring-sqlite', 'socketio-relay'),
  },
  {
    figure: 'CPU a token at full speed, against the raw Socket.IO relay',
    scenario: 'full',
    against: 'socketio-relay',
    unit: '×',
    must: 0.5,
    aim: 0.3,
    value: (results) => results.ratio('full', 'cpu', 'mooring-sqlite', 'socketio-relay'),
  },
  {
    // Saturated, streamText gets its tokens in batches: what it then costs is not the price of a paced token.
    figure: 'CPU a token, paced, against streamText over HTTP where that keeps pace',
    scenario: 'paced',
    against: 'ai-stream-text',
    unit: '×',
    must: 1 / 3,
    aim: 1 / 5,
    value: (results) => {
      const cores = results.median('paced', 'ai-stream-text', 'busy');
      const figure = cores !== undefined && cores >= SATURATED_CORES ? 'fewerCpu' : 'cpu';
      return results.ratio('paced', figure, 'mooring-sqlite', 'ai-stream-text');
    },
  },
  {
    figure: "first token later than the raw Socket.IO relay's, p99",
    scenario: 'latency',
    against: 'socketio-relay',
    unit: 'ms',
    must: 5,
    aim: 1,
    value: (results) => results.difference('latency', 'firstP99', 'mooring-sqlite', 'socketio-relay'),
  },
  {
    figure: 'any token later than the flush interval, p99',
    scenario: 'latency',
    unit: 'ms',
    must: 10,
    aim: 3,
    value: (results) => {
      const p99 = results.median('latency', 'mooring-sqlite', 'tokenP99');
      return p99 === undefined ? undefined : p99 - FLUSH_INTERVAL_MS;
    },
  },
  {
    figure: 'catch-up amid a long answer: round trips',
    scenario: 'catchup',
    unit: '',
    must: 1,
    aim: 1,
    value: (results) => results.median('catchup', 'mooring-sqlite', 'roundTrips'),
  },
  {
    // Of that round trip; what opens the transport before it (TCP, the upgrade) is there without Mooring, too.
    figure: 'catch-up amid a long answer: that round trip, p99',
    scenario: 'catchup',
    unit: 'ms',
    must: 15,
    aim: 5,
    value: (results) => results.median('catchup', 'mooring-sqlite', 'roundTripP99'),
  },
  {
    figure: 'heap of an attached idle session, against a Socket.IO socket',
    scenario: 'memory',
    against: 'socketio-relay',
    unit: '×',
    must: 1.3,
    aim: 1.1,
    value: (results) => results.ratio('memory', 'attachedHeap', 'mooring-sqlite', 'socketio-relay'),
  },
  {
    figure: 'heap of a detached idle session',
    scenario: 'memory',
    unit: 'bytes',
    must: 1_024,
    aim: 0,
    value: (results) => results.median('memory', 'mooring-sqlite', 'detachedHeap'),
  },
  {
    figure: 'connecting and opening, time against bare Socket.IO connects',
    scenario: 'connects',
    against: 'socketio-relay',
    unit: '×',
    must: 2,
    aim: 1.3,
    value: (results) => results.ratio('connects', 'ms', 'mooring-sqlite', 'socketio-relay'),
  },
  {
    figure: 'growth: CPU a token, most streams against fewest',
    scenario: 'growth',
    unit: '×',
    must: 1.2,
    aim: 1,
    value: (results, { growth: { streams } }) =>
      quotient(
        results.median('growth', 'mooring-sqlite', `streams${streams.at(-1)}`),
        results.median('growth', 'mooring-sqlite', `streams${streams[0]}`),
      ),
  },
  {
    figure: 'growth: opening the longest transcript against the shortest',
    scenario: 'transcripts',
    unit: '×',
    must: 1.5,
    aim: 1,
    value: (results, { transcripts: { messages } }) =>
      quotient(
        results.median('transcripts', 'mooring-sqlite', `open${messages.at(-1)}`),
        results.median('transcripts', 'mooring-sqlite', `open${messages[0]}`),
      ),
  },
  {
    figure: 'Redis: CPU a token on two nodes, against one, the same load on each',
    scenario: 'nodes',
    of: 'mooring-redis-2',
    against: 'mooring-redis',
    unit: '×',
    must: 1.1,
    aim: 1,
    value: (results) => results.ratio('nodes', 'cpu', 'mooring-redis-2', 'mooring-redis'),
  },
  {
    figure: 'Redis: CPU a token on two nodes, against two that share nothing',
    scenario: 'nodes',
    of: 'mooring-redis-2',
    against: 'mooring-redis-2-apart',
    unit: '×',
    must: 1.1,
    aim: 1,
    value: (results) => results.ratio('nodes', 'cpu', 'mooring-redis-2', 'mooring-redis-2-apart'),
  },
  {
    figure: 'Redis: commands that nodes send it, a token at 50 tokens/s, two nodes',
    scenario: 'nodes',
    of: 'mooring-redis-2',
    unit: '',
    must: 0.5,
    aim: 0.1,
    value: (results) => results.median('nodes', 'mooring-redis-2', 'commands'),
  },
  {
    figure: 'Redis: caught up on another node after kill -9 of the first, p99',
    scenario: 'takeover',
    of: 'mooring-redis-2',
    unit: 'ms',
    must: 2_000,
    aim: 500,
    value: (results) => results.median('takeover', 'mooring-redis-2', 'caughtUpP99'),
  },
  {
    figure: "Redis: the killed node's turns have ended, the latest",
    scenario: 'takeover',
    of: 'mooring-redis-2',
    unit: 'ms',
    must: 5_000,
    aim: 3_000,
    value: (results) => results.median('takeover', 'mooring-redis-2', 'endedMost'),
  },
];

export interface Verdict {
  /** Undefined: not measured. */
  value?: number;
  missed: boolean;
  text: string;
}

export function verdictOf(target: Target, results: Results, size: Size): Verdict {
  const { must, aim, scenario, against, unit, of = 'mooring-sqlite' } = target;
  const value = target.value(results, size);
  if (value === undefined) return { missed: false, text: 'not measured' };
  const missed = value > must;
  const text = missed ? 'missed' : value <= aim ? 'met, aim reached' : 'met';
  const own = results.isDoubtful(scenario, of);
  const others = against !== undefined && results.isDoubtful(scenario, against);
  // Whatever disturbs makes times longer: Mooring's own speak for it in spite of that, another's against it.
  const doubtful = unit === 'ms' ? (missed ? own : others) : own || others;
  return { value, missed, text: doubtful ? `${text}, but not valid` : text };
}
