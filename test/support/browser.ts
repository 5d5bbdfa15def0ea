import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** A quiet browser: no sandbox, as tests often run as root, and nothing that calls home. */
const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Where Chromium is: the one that `CHROMIUM_PATH` names, Debian's, or the first on the path. */
const executablePath = findChromium();

/** With `CI=true` it counts as available in any case, so that its absence fails the tests that need it. */
export const browserAvailable = executablePath !== undefined || process.env['CI'] === 'true';

/** Why tests in a browser are skipped; '' where they are not. */
export const skipReason = browserAvailable
  ? ''
  : 'no Chromium was found: apt-get install chromium, or set CHROMIUM_PATH to one';

// Jest shows no titles of suites that it skips.
if (skipReason) console.warn(`tests in a browser are skipped: ${skipReason}`);

/**
 * Starts a browser without a window. The caller closes it.
 * @throws where there is none
 */
export async function launchBrowser(): Promise<Browser> {
  if (!executablePath) throw new Error('no Chromium was found: install it, or set CHROMIUM_PATH to one');
  return chromium.launch({ executablePath, args: ARGS, chromiumSandbox: false });
}

function findChromium(): string | undefined {
  const named = process.env['CHROMIUM_PATH'];
  // One that is named but not there is a mistake, and no reason to take another.
  if (named) return isExecutable(named) ? named : undefined;
  const folders = ['/usr/bin', ...(process.env['PATH'] ?? '').split(delimiter)];
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
