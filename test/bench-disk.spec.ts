import { describe, expect, it } from '@jest/globals';
import { countersOf, StallMeter } from '../bench/disk.js';

// As /proc/diskstats has it: major, minor, name, 4 counters of reads, 4 of writes, in flight, 2 times, discards, flushes.
const LINES = [
  '   7       0 loop0 1 0 2 0 0 0 0 0 0 0 0 0 0 0 0 0 0',
  ' 254       0 vda 100 2 3 4 200 6 7 8 9 10 11 300 13 14 15 400 17',
  ' 254       1 vda1 1 2 3 4 2 6 7 8 1 10 11',
];

describe('countersOf', () => {
  it('adds up what a disk completed, and says what it has yet to do', () => {
    expect(countersOf(LINES, '254 0')).toEqual({ completed: 1000, inFlight: 9 });
  });

  it('takes the shorter lines of older kernels', () => {
    expect(countersOf(LINES, '254 1')).toEqual({ completed: 3, inFlight: 1 });
  });

  it('knows of no other disk', () => {
    expect(countersOf(LINES, '8 0')).toBeUndefined();
    expect(countersOf([''], '8 0')).toBeUndefined();
  });
});

describe('StallMeter', () => {
  const see = (...looks: [at: number, completed: number, inFlight: number][]): number => {
    const meter = new StallMeter();
    for (const [at, completed, inFlight] of looks) meter.see({ completed, inFlight }, at);
    return meter.stalledMs;
  };

  it('counts the time in which a disk with work completed nothing, one that goes on included', () => {
    expect(see([0, 5, 1], [50, 5, 1], [120, 5, 2], [150, 6, 1])).toBe(120);
    expect(see([0, 5, 1], [50, 5, 1], [120, 5, 2])).toBe(120);
    expect(see([0, 5, 1], [200, 5, 1], [250, 6, 1], [400, 6, 1], [410, 7, 0])).toBe(350);
  });

  it('counts no shorter stall, no idle disk, and no late look', () => {
    expect(see([0, 5, 1], [99, 5, 1], [110, 6, 1])).toBe(0);
    expect(see([0, 5, 0], [500, 5, 0], [1000, 5, 1])).toBe(0);
    expect(see([0, 5, 1], [25, 6, 1], [2000, 9, 1])).toBe(0);
  });
});
