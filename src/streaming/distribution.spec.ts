import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Distribution } from './distribution.js';

describe('a distribution', () => {
  it('counts each value in the first bucket that holds it', () => {
    const values = fc.array(fc.double({ min: 0, max: 4, noNaN: true }));
    fc.assert(
      fc.property(values, (added) => {
        const distribution = new Distribution([1, 2, 3]);
        for (const value of added) distribution.add(value);
        const within = (low: number, high: number) => added.filter((v) => v > low && v <= high).length;
        expect(distribution.counts).toEqual([within(-1, 1), within(1, 2), within(2, 3), within(3, 5)]);
        expect(distribution.count).toBe(added.length);
        expect(distribution.sum).toBeCloseTo(added.reduce((sum, value) => sum + value, 0));
      }),
    );
  });
});
