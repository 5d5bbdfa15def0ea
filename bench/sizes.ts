/** How much is done. Times in milliseconds. */
export interface Size {
  rounds: number;
  /** How often a contender is measured in a round, at most, until its figures are valid. */
  tries: number;
  /** 50 tokens per second each; `fewer`: streams that leave every contender room; `warmUp`: tokens of the answers before. */
  paced: { streams: number; fewer: number; tokens: number; warmUp: number };
  /** The same streams again and again, `times` answers each. */
  full: { streams: number; tokens: number; times: number };
  latency: { streams: number; tokens: number; times: number };
  catchup: { sessions: number; tokens: number; rate: number; pauseMs: number };
  memory: { sessions: number };
  connects: { clients: number };
  /** Tokens per second of each stream, such that the largest number of streams leaves the machine room. */
  growth: { streams: number[]; rate: number; seconds: number };
  transcripts: { messages: number[]; opens: number };
  detached: { sessions: number[]; streams: number; tokens: number };
  /** `streams` on each node, then `all` on all of them together. */
  nodes: { streams: number; all: number; tokens: number; warmUp: number };
  takeover: { sessions: number; tokens: number };
  stored: { sessions: number; answers: number };
}

export const SIZES = {
  full: {
    rounds: 3,
    tries: 3,
    paced: { streams: 200, fewer: 50, tokens: 500, warmUp: 150 },
    full: { streams: 100, tokens: 500, times: 6 },
    latency: { streams: 200, tokens: 120, times: 6 },
    catchup: { sessions: 20, tokens: 2_000, rate: 200, pauseMs: 100 },
    memory: { sessions: 2_000 },
    connects: { clients: 10_000 },
    growth: { streams: [50, 100, 200, 400, 800], rate: 8, seconds: 10 },
    transcripts: { messages: [10, 100, 1_000, 10_000], opens: 400 },
    detached: { sessions: [0, 1_000, 10_000, 100_000], streams: 100, tokens: 300 },
    nodes: { streams: 50, all: 100, tokens: 500, warmUp: 150 },
    takeover: { sessions: 100, tokens: 500 },
    stored: { sessions: 2_000, answers: 10 },
  },
  quick: {
    rounds: 1,
    tries: 1,
    paced: { streams: 200, fewer: 50, tokens: 120, warmUp: 50 },
    full: { streams: 100, tokens: 250, times: 1 },
    latency: { streams: 200, tokens: 40, times: 2 },
    catchup: { sessions: 10, tokens: 2_000, rate: 500, pauseMs: 80 },
    memory: { sessions: 300 },
    connects: { clients: 1_000 },
    growth: { streams: [50, 800], rate: 8, seconds: 3 },
    transcripts: { messages: [10, 10_000], opens: 100 },
    detached: { sessions: [0, 10_000], streams: 50, tokens: 100 },
    nodes: { streams: 50, all: 100, tokens: 120, warmUp: 50 },
    takeover: { sessions: 50, tokens: 200 },
    stored: { sessions: 300, answers: 5 },
  },
  tiny: {
    rounds: 1,
    tries: 1,
    paced: { streams: 10, fewer: 5, tokens: 50, warmUp: 10 },
    full: { streams: 10, tokens: 50, times: 1 },
    latency: { streams: 10, tokens: 20, times: 1 },
    catchup: { sessions: 2, tokens: 400, rate: 400, pauseMs: 20 },
    memory: { sessions: 50 },
    connects: { clients: 50 },
    growth: { streams: [5, 10], rate: 20, seconds: 1 },
    transcripts: { messages: [10, 100], opens: 10 },
    detached: { sessions: [0, 100], streams: 5, tokens: 20 },
    nodes: { streams: 5, all: 10, tokens: 50, warmUp: 10 },
    takeover: { sessions: 5, tokens: 150 },
    stored: { sessions: 20, answers: 2 },
  },
} satisfies Record<string, Size>;

export type SizeName = keyof typeof SIZES;
