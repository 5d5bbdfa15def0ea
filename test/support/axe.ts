import axe from 'axe-core';
import type { Page } from 'playwright-core';

interface Violation {
  id: string;
  nodes: { html: string; failureSummary: string }[];
}

/** What axe finds, all its rules applied. */
export async function flaws(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  // Colours that fade in are none yet.
  await page.evaluate(
    'Promise.allSettled(document.getAnimations().map((each) => each.effect.getTiming().iterations === Infinity || each.finished))',
  );
  const { violations } = await page.evaluate<{ violations: Violation[] }>('axe.run()');
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  );
}
