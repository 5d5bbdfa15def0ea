import { afterEach, beforeAll, afterAll, describe, expect, it } from '@jest/globals';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { browserAvailable, launchBrowser } from './support/browser.js';
import { until } from './support/channel.js';
import { disposeAll, gateway, onDispose, temporaryDirectory, type TestGateway } from './support/gateway.js';

let browser: Browser;

/** The page, with whatever it complains of. */
async function open(context: BrowserContext, url: string): Promise<{ page: Page; complaints: string[] }> {
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (/Content Security Policy|Uncaught/.test(message.text())) complaints.push(message.text());
  });
  await page.goto(url);
  await connected(page);
  return { page, complaints };
}

async function connected(page: Page): Promise<void> {
  await page.locator('[data-testid=connection][data-state=connected]').waitFor();
}

async function context(options: object = {}): Promise<BrowserContext> {
  const made = await browser.newContext(options);
  onDispose(() => made.close());
  return made;
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByTestId('composer').fill(text);
  await page.getByTestId('composer').press('Enter');
}

/** `role status: text` of each message, as the page shows them. */
async function shown(page: Page): Promise<string[]> {
  const rows: string[] = [];
  for (const message of await page.getByTestId('message').all()) {
    const [role, status] = [
      await message.getAttribute('data-role'),
      await message.getAttribute('data-status'),
    ];
    const text = (await message.getByTestId('text').allTextContents()).join('');
    rows.push(`${role} ${status}: ${text}`);
  }
  return rows;
}

async function shows(page: Page, ...rows: string[]): Promise<void> {
  let last: string[] = [];
  await until(async () => {
    last = await shown(page);
    return JSON.stringify(last) === JSON.stringify(rows);
  }, JSON.stringify(rows)).catch((error: unknown) => {
    throw new Error(`${String(error)}; the page shows ${JSON.stringify(last)}`);
  });
}

async function begun(
  running: TestGateway,
): Promise<{ page: Page; complaints: string[]; context: BrowserContext }> {
  const made = await context();
  return { ...(await open(made, running.url)), context: made };
}

(browserAvailable ? describe : describe.skip)('the page in a real browser', () => {
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());
  afterEach(disposeAll);

  it('[WEB-1] cut in the middle of an answer, it ends with the whole text, once', async () => {
    const running = await gateway();
    const { page, complaints } = await begun(running);
    await say(page, 'Tell me');
    const call = (await running.model.nextCall()).begin().text('before ');
    await shows(page, 'user sent: Tell me', 'assistant streaming: before ');
    await page.getByTestId('cut').click();
    await page.locator('[data-testid=connection]:not([data-state=connected])').waitFor();
    call.text('during ');
    await connected(page);
    call.text('after').finish();
    await shows(page, 'user sent: Tell me', 'assistant completed: before during after');
    expect(complaints).toEqual([]);
  });

  it('[WEB-1] reloaded, and closed and reopened, in the middle of an answer', async () => {
    const running = await gateway();
    const { page, complaints, context } = await begun(running);
    await say(page, 'Tell me');
    const call = (await running.model.nextCall()).begin().text('one ');
    await shows(page, 'user sent: Tell me', 'assistant streaming: one ');
    await page.reload();
    await shows(page, 'user sent: Tell me', 'assistant streaming: one ');
    call.text('two ');
    await shows(page, 'user sent: Tell me', 'assistant streaming: one two ');
    await page.close();
    call.text('three ');
    const reopened = await open(context, running.url);
    call.text('four').finish();
    await shows(reopened.page, 'user sent: Tell me', 'assistant completed: one two three four');
    await reopened.page.reload();
    await shows(reopened.page, 'user sent: Tell me', 'assistant completed: one two three four');
    expect([...complaints, ...reopened.complaints]).toEqual([]);
  });

  it('[WEB-1] across a restart of the server it comes back by itself', async () => {
    const DATA_DIR = await temporaryDirectory();
    const first = await gateway({ STORE: 'sqlite', DATA_DIR });
    const { page } = await begun(first);
    await say(page, 'Tell me');
    (await first.model.nextCall()).begin().text('so far');
    await shows(page, 'user sent: Tell me', 'assistant streaming: so far');
    await say(page, 'And then?');
    await page.getByTestId('queue').waitFor();
    await first.stop();
    const second = await gateway({ STORE: 'sqlite', DATA_DIR, PORT: new URL(first.url).port });
    (await second.model.nextCall()).answer('The end.');
    await shows(
      page,
      'user sent: Tell me',
      'assistant interrupted: so far',
      'user sent: And then?',
      'assistant completed: The end.',
    );
  });

  it('[WEB-2] agents, stop, queue and a second tab', async () => {
    const running = await gateway();
    const { page, context } = await begun(running);
    expect(await page.getByTestId('agent-select').locator('option').allTextContents()).toEqual([
      'Alice',
      'Debbie',
      'Patricia',
    ]);
    const tab = await open(context, running.url);
    await say(page, 'one');
    const call = (await running.model.nextCall()).begin().text('partial');
    await say(page, 'two');
    await page.getByTestId('queue').waitFor();
    await page.getByTestId('stop').click();
    const next = await running.model.nextCall();
    expect(call.aborted).toBe(true);
    next.answer('2');
    const rows = [
      'user sent: one',
      'assistant cancelled: partial',
      'user sent: two',
      'assistant completed: 2',
    ];
    await shows(page, ...rows);
    await shows(tab.page, ...rows);
  });

  it('[WEB-2] text is never HTML, and a narrow screen needs no scrolling sideways', async () => {
    const running = await gateway();
    const narrow = await context({ viewport: { width: 360, height: 640 } });
    const { page, complaints } = await open(narrow, running.url);
    const html = '<img src=x onerror="document.title=1"><b>bold</b>';
    await say(page, html);
    (await running.model.nextCall()).answer(`${html} ${'long'.repeat(100)}`);
    await shows(page, `user sent: ${html}`, `assistant completed: ${html} ${'long'.repeat(100)}`);
    expect(await page.locator('[data-testid=messages] img, [data-testid=messages] b').count()).toBe(0);
    expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
    expect(complaints).toEqual([]);
  });

  it('[EVT-9] [WEB-2] a gap in what it receives makes it come back for what it missed', async () => {
    const running = await gateway();
    const { page } = await begun(running);
    await say(page, 'Tell me');
    const call = (await running.model.nextCall()).begin().text('one ');
    await shows(page, 'user sent: Tell me', 'assistant streaming: one ');
    const { SocketConnection } = await import('../src/gateway/socket.connection.js');
    const send = Reflect.get(SocketConnection.prototype, 'send') as () => void;
    let lost = 0;
    Reflect.set(SocketConnection.prototype, 'send', () => (lost += 1));
    call.text('two ');
    await until(() => lost > 0, 'a packet to be lost');
    Reflect.set(SocketConnection.prototype, 'send', send);
    call.text('three').finish();
    await shows(page, 'user sent: Tell me', 'assistant completed: one two three');
  });
});
