import { describe, expect, it } from '@jest/globals';
import { bytes, duration, line, number, since, tokens } from './figures.js';

describe('the figures of the console', () => {
  it('[ADM-9] are short', () => {
    expect([0, 999, 61_000, 3_600_000, 200_000_000].map(duration)).toEqual([
      '0 s',
      '0 s',
      '1 min',
      '1 h',
      '2 d',
    ]);
    expect(since('2026-11-22T12:00:00.000Z', Date.parse('2026-11-22T12:00:30.000Z'))).toBe('30 s');
    // A clock of another node may be ahead.
    expect(since('2026-11-22T12:00:00.000Z', Date.parse('2026-11-22T11:59:00.000Z'))).toBe('0 s');
    expect(since(null, 0)).toBe('?');
    expect([0, 1023, 1024, 1_572_864, 2 ** 42].map(bytes)).toEqual([
      '0 B',
      '1,023 B',
      '1 KiB',
      '1.5 MiB',
      '4 TiB',
    ]);
    expect([0, 1.25, 9_999, 12_345, 4_500_000].map(number)).toEqual(['0', '1.3', '9,999', '12.3K', '4.5M']);
    expect(tokens(null)).toBe('0');
    expect(tokens({ inputTokens: 10, outputTokens: 5, estimated: true })).toBe('≈ 15');
  });

  it('[ADM-9] are drawn from left to right, each line within its box', () => {
    expect(line([], 100, 50)).toBe('');
    expect(line([0], 100, 50)).toBe('M0 50');
    expect(line([0, 2, 4], 100, 50)).toBe('M0 50L50 25L100 0');
    // Nothing is a line at the bottom.
    expect(line([0, 0], 100, 50)).toBe('M0 50L100 50');
  });
});
