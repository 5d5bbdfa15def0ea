import { describe, expect, it } from '@jest/globals';
import { currentBootId, isSameBoot } from './boot.id.js';

describe('the boot id', () => {
  it('is the same while the machine runs', () => {
    expect(isSameBoot(currentBootId(), currentBootId())).toBe(true);
  });

  it('allows for the clock where it is made of a time', () => {
    expect(isSameBoot('up:1000000', 'up:1000100')).toBe(true);
    expect(isSameBoot('up:1000000', 'up:1000200')).toBe(false);
    expect(isSameBoot('up:1000000', 'ae0a3ff3')).toBe(false);
    expect(isSameBoot('', 'ae0a3ff3')).toBe(false);
  });
});
