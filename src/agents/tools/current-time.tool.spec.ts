import { describe, expect, it } from '@jest/globals';
import type { Clock } from '../../clock.js';
import { CurrentTimeTool } from './current-time.tool.js';

const now = Date.UTC(2026, 10, 23, 4, 31, 12, 345);
const tool = new CurrentTimeTool({ now: () => now } as Clock);

describe('current_time', () => {
  it.each([{}, { timezone: '' }, { timezone: ' UTC ' }])('tells UTC for %j', (input) => {
    const { iso, timezone, local } = tool.execute(input);
    expect({ iso, timezone }).toEqual({ iso: '2026-11-23T04:31:12.345Z', timezone: 'UTC' });
    expect(local).toContain('04:31:12');
  });

  it('tells the time of a zone, in any case', () => {
    const { iso, timezone, local } = tool.execute({ timezone: 'america/new_york' });
    expect({ iso, timezone }).toEqual({ iso: '2026-11-23T04:31:12.345Z', timezone: 'America/New_York' });
    expect(local).toMatch(/^Sunday,? 22 November 2026.*23:31:12/);
  });

  it('says what to name where there is no such zone', () => {
    expect(() => tool.execute({ timezone: 'Mars/Base' })).toThrow(
      'There is no time zone "Mars/Base": name one as IANA does, such as Europe/Berlin.',
    );
  });
});
