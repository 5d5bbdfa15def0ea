import type { BrowserContextOptions } from 'playwright-core';

export const NARROW = { width: 360, height: 640 };
/** What a page has to be of use on. */
export const SCREENS: [string, BrowserContextOptions][] = [
  ['in the light', { colorScheme: 'light' }],
  ['in the dark', { colorScheme: 'dark' }],
  ['on a phone', { colorScheme: 'light', viewport: NARROW, hasTouch: true }],
  ['on a phone in the dark', { colorScheme: 'dark', viewport: NARROW, hasTouch: true }],
];
