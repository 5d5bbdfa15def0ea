import { describe, expect, it } from '@jest/globals';
import { countersOf } from '../bench/disk.js';

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
