import { describe, expect, it } from '@jest/globals';
import { StatsHistory, type Observation } from './stats.history.js';

const observation = (at: number, grown: number): Observation => ({
  at,
  streams: grown,
  orphans: 1,
  counters: { turns: grown, events: 2 * grown, droppedSends: grown, resumes: 4 * grown, tokens: 0 },
});

describe('the history of a node', () => {
  it('[ADM-3] tells what happened a second between two observations', () => {
    const history = new StatsHistory(10);
    history.add(observation(1_000, 0));
    expect(history.samples()).toEqual([]);
    history.add(observation(3_000, 10));
    history.add(observation(5_000, 10));
    expect(history.samples()).toEqual([
      { at: 3_000, streams: 10, orphans: 1, droppedSends: 5, resumes: 20 },
      { at: 5_000, streams: 10, orphans: 1, droppedSends: 0, resumes: 0 },
    ]);
  });

  it('[ADM-3] keeps as many as it may', () => {
    const history = new StatsHistory(3);
    for (let index = 0; index < 10; index += 1) history.add(observation(index * 1_000, index));
    expect(history.samples().map(({ at }) => at)).toEqual([7_000, 8_000, 9_000]);
  });

  it('[ADM-3] averages over the window, and says nothing of no time', () => {
    const history = new StatsHistory(10);
    expect(history.rates(observation(0, 5), 10_000)).toMatchObject({ turns: 0, events: 0 });
    for (let index = 0; index <= 8; index += 1) history.add(observation(index * 2_000, index));
    expect(history.rates(observation(17_000, 13), 10_000)).toEqual({
      // Since 8 s: 9 s in which it grew by 9.
      turns: 1,
      events: 2,
      droppedSends: 1,
      resumes: 4,
      tokens: 0,
    });
  });
});
