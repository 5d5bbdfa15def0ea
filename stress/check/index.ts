import type { Evidence } from '../ledgers.ts';
import { checkTexts } from './i1.text.ts';
import { checkContiguity } from './i2.contiguity.ts';
import { checkEndings } from './i3.endings.ts';
import { checkSends } from './i4.sends.ts';
import { checkPrompts } from './i5.prompts.ts';
import { checkForeign } from './i6.foreign.ts';
import { checkHealth } from './i7.health.ts';
import { viewOf } from './view.ts';
import type { Violation } from './violation.ts';

/** Compares all ledgers of a run against the invariants, I1 to I7. Pure: it asks nobody anything. */
export function check(evidence: Evidence): Violation[] {
  const view = viewOf(evidence);
  return [
    checkTexts,
    checkContiguity,
    checkEndings,
    checkSends,
    checkPrompts,
    checkForeign,
    checkHealth,
  ].flatMap((each) => each(view));
}
