import { describe, expect, it } from '@jest/globals';
import { traceparentOf } from './trace.context.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const GOOD = `00-${TRACE}-${SPAN}-01`;

describe('[OBS-5] a trace context', () => {
  it('is the first that has its form', () => {
    expect(traceparentOf(GOOD)).toBe(GOOD);
    expect(traceparentOf(undefined, GOOD)).toBe(GOOD);
    expect(traceparentOf('odd', GOOD)).toBe(GOOD);
    expect(traceparentOf(`01-${TRACE}-${SPAN}-00-later`)).toBe(`01-${TRACE}-${SPAN}-00-later`);
  });

  it.each([
    [undefined],
    [7],
    [[GOOD]],
    [''],
    [`ff-${TRACE}-${SPAN}-01`],
    [`00-${'0'.repeat(32)}-${SPAN}-01`],
    [`00-${TRACE}-${'0'.repeat(16)}-01`],
    [`00-${TRACE.toUpperCase()}-${SPAN}-01`],
    [`00-${TRACE}-${SPAN}`],
    [`${GOOD}\n`],
    [`01-${TRACE}-${SPAN}-00-${'x'.repeat(65)}`],
  ])('is none: %j', (given) => {
    expect(traceparentOf(given)).toBeUndefined();
  });
});
