import { describe, expect, it } from '@jest/globals';
import { browserAvailable, launchBrowser } from './browser.js';

const describeInBrowser = browserAvailable ? describe : describe.skip;

describeInBrowser('launchBrowser', () => {
  it('gives a browser that shows pages', async () => {
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      await page.setContent('<h1>Mooring</h1>');
      expect(await page.textContent('h1')).toBe('Mooring');
    } finally {
      await browser.close();
    }
  });
});
