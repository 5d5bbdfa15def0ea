/** How much is done. */
export interface Size {
  /** `rate` is tokens per second of each stream; for `calmMs` they run alone, to compare with. */
  storm: { streams: number; rate: number; clients: number; calmMs: number };
  /** At each of the readers, `answers` after one another of `tokens` of `length` characters. */
  slowReaders: { readers: number; answers: number; tokens: number; length: number };
  drain: { streams: number; rate: number; timeoutMs: number };
  deadPeers: { peers: number };
  /** Whether limits in time and memory are judged, which a machine that does other things cannot keep. */
  judged: boolean;
}

export const SIZES = {
  full: {
    storm: { streams: 500, rate: 10, clients: 10_000, calmMs: 3_000 },
    slowReaders: { readers: 10, answers: 12, tokens: 1_000, length: 1_024 },
    drain: { streams: 500, rate: 10, timeoutMs: 5_000 },
    deadPeers: { peers: 200 },
    judged: true,
  },
  tiny: {
    storm: { streams: 10, rate: 20, clients: 100, calmMs: 200 },
    slowReaders: { readers: 2, answers: 2, tokens: 1_000, length: 1_024 },
    drain: { streams: 10, rate: 20, timeoutMs: 1_000 },
    deadPeers: { peers: 5 },
    judged: false,
  },
} satisfies Record<string, Size>;

export type SizeName = keyof typeof SIZES;
