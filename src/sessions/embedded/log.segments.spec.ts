import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { LIMITS, type SessionEvent } from '../../protocol.js';
import { eventSize, segmentsOf } from './log.segments.js';

const texts = fc.array(
  fc.integer({ min: 0, max: 2 * LIMITS.replayLength }).map((length) => 'x'.repeat(length)),
  { maxLength: 12 },
);

describe('the segments of a log', () => {
  it('[RES-10] are the events in order, none longer than a step of a replay but for one that is itself', () => {
    fc.assert(
      fc.property(texts, fc.nat(1_000), (deltas, from) => {
        const events = deltas.map((delta, index): SessionEvent => ({
          type: 'chunk',
          turnId: 't',
          seq: from + index + 1,
          chunk: { type: 'text-delta', id: '0', delta },
        }));
        const segments = segmentsOf(from, events, 5);
        expect(segments.flatMap((segment) => segment.events)).toEqual(events);
        let reached = from;
        for (const segment of segments) {
          expect([segment.from, segment.to - segment.from]).toEqual([reached, segment.events.length]);
          reached = segment.to;
          const size = segment.events.reduce((sum, event) => sum + eventSize(event), 0);
          if (segment.events.length > 1) expect(size).toBeLessThanOrEqual(LIMITS.replayLength);
        }
        // No needless cuts: two neighbours together would be too long.
        for (const [index, { events: these }] of segments.entries()) {
          const both = [...these, ...(segments[index + 1]?.events ?? [])];
          const size = both.reduce((sum, event) => sum + eventSize(event) + 100, 0);
          if (both.length > these.length) expect(size).toBeGreaterThan(LIMITS.replayLength);
        }
      }),
      { numRuns: 60 },
    );
  });
});
