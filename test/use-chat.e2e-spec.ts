import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { browserAvailable, launchBrowser } from './support/browser.js';
import { until } from './support/channel.js';
import { newCredentials } from './support/client.js';
import { cutAll } from './support/cut.js';
import { disposeAll, gateway, onDispose, temporaryDirectory, type TestGateway } from './support/gateway.js';
import { servePage } from './support/react.page.js';

const PAGE = readFileSync(new URL('pages/chat.jsx', import.meta.url), 'utf8');
const GUIDE = readFileSync(new URL('../docs/guides/use-chat.md', import.meta.url), 'utf8');

(browserAvailable ? describe : describe.skip)('useChat in a real browser', () => {
  let browser: Browser;
  const complaints: string[] = [];

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());
  afterEach(async () => {
    await disposeAll();
    expect(complaints.splice(0)).toEqual([]);
  });

  /** A gateway, and the page at an origin of its own that may talk to it. */
  async function start(
    source: string,
  ): Promise<{ running: TestGateway; url: string; context: BrowserContext }> {
    const { url, build } = await servePage(source);
    const running = await gateway({ CORS_ORIGINS: url });
    await build(running.url);
    const context = await browser.newContext();
    onDispose(() => context.close());
    return { running, url, context };
  }

  async function open(context: BrowserContext, url: string): Promise<Page> {
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      // A cut is told by the browser itself.
      if (message.type() === 'error' && !/WebSocket|ERR_|404/.test(message.text()))
        complaints.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  const messages = (page: Page) => page.locator('#messages li').allTextContents();
  const queue = (page: Page) => page.locator('#queue li').allTextContents();
  const state = (page: Page) => page.locator('#state').textContent();
  const seen = (page: Page) =>
    page.evaluate(
      () =>
        (globalThis as unknown as { seen: { statuses: string[]; errors: string[]; texts: string[] } }).seen,
    );
  const send = (page: Page, text: string) =>
    page.evaluate((said) => {
      const { chat } = globalThis as unknown as { chat: { sendMessage(message: { text: string }): void } };
      chat.sendMessage({ text: said });
    }, text);
  const shows = (page: Page, ...expected: string[]) =>
    until(
      async () => JSON.stringify(await messages(page)) === JSON.stringify(expected),
      `the page to show ${JSON.stringify(expected)}`,
    );

  it('[CLI-13] ten cuts and a reload in one answer: no error state, no duplicate, no gap, and nothing jumps back', async () => {
    const { running, url, context } = await start(PAGE);
    const page = await open(context, url);
    await until(async () => (await state(page)) === 'connected ready no error', 'the session');
    await send(page, 'Tell me');
    const call = (await running.model.nextCall()).begin();
    let text = '';
    for (let cut = 0; cut < 10; cut += 1) {
      call.text(`before ${cut}, `);
      text += `before ${cut}, `;
      await shows(page, 'user -: Tell me', `assistant -: ${text}`);
      expect(await cutAll(running)).toBe(1);
      call.text(`after ${cut}. `);
      text += `after ${cut}. `;
      await shows(page, 'user -: Tell me', `assistant -: ${text}`);
      if (cut !== 4) continue;
      const before = await seen(page);
      expect(before.errors).toEqual([]);
      await page.reload();
      await shows(page, 'user -: Tell me', `assistant -: ${text}`);
    }
    call.text('The end.').finish();
    await shows(page, 'user -: Tell me', `assistant completed: ${text}The end.`);
    await until(async () => (await state(page)) === 'connected ready no error', 'the end');
    const { statuses, errors, texts } = await seen(page);
    expect(errors).toEqual([]);
    expect(statuses).not.toContain('error');
    for (const [index, shown] of texts.entries()) {
      expect(`${text}The end.`.startsWith(shown)).toBe(true);
      expect(shown.length).toBeGreaterThanOrEqual(texts[index - 1]?.length ?? 0);
    }
    expect(running.model.calls).toHaveLength(1);
  });

  it('[CLI-13] what is said meanwhile waits in the queue; another tab streams the same; stop cancels', async () => {
    const { running, url, context } = await start(PAGE);
    const one = await open(context, url);
    await until(async () => (await state(one))?.startsWith('connected') === true, 'the session');
    const two = await open(context, url);
    await until(async () => (await state(two))?.startsWith('connected') === true, 'the session in both');
    await send(one, 'one');
    const first = (await running.model.nextCall()).begin().text('re: ');
    await shows(one, 'user -: one', 'assistant -: re: ');
    await shows(two, 'user -: one', 'assistant -: re: ');
    expect(await state(two)).toBe('connected streaming no error');
    await send(two, 'two');
    for (const page of [one, two])
      await until(async () => (await queue(page))[0] === 'queued: two', 'the queue');
    first.text('one').finish();
    const second = (await running.model.nextCall()).begin().text('half');
    for (const page of [one, two]) {
      await shows(page, 'user -: one', 'assistant completed: re: one', 'user -: two', 'assistant -: half');
      expect(await queue(page)).toEqual([]);
    }
    await one.evaluate(() => void (globalThis as unknown as { chat: { stop(): void } }).chat.stop());
    for (const page of [one, two]) {
      await shows(
        page,
        'user -: one',
        'assistant completed: re: one',
        'user -: two',
        'assistant cancelled: half',
      );
      await until(async () => (await state(page)) === 'connected ready no error', 'both to be idle');
      expect((await seen(page)).errors).toEqual([]);
    }
    expect(second.aborted).toBe(true);
  });

  it('[CLI-13] what is said while the gateway is away is sent when it returns, a reload between', async () => {
    const { url, build } = await servePage(PAGE);
    const env = { STORE: 'sqlite', DATA_DIR: await temporaryDirectory(), CORS_ORIGINS: url };
    const first = await gateway(env);
    await build(first.url);
    const context = await browser.newContext();
    onDispose(() => context.close());
    const page = await open(context, url);
    await until(async () => (await state(page))?.startsWith('connected') === true, 'the session');
    await first.stop();
    await until(async () => (await state(page))?.startsWith('reconnecting') === true, 'it to be gone');
    await send(page, 'Are you there?');
    await shows(page, 'user -: Are you there?');
    await page.reload();
    await until(async () => (await queue(page))[0] === 'sending: Are you there?', 'it to be kept');
    const second = await gateway({ ...env, PORT: new URL(first.url).port });
    (await second.model.nextCall()).answer('Yes.');
    await shows(page, 'user -: Are you there?', 'assistant completed: Yes.');
    expect(await queue(page)).toEqual([]);
    expect(second.model.calls).toHaveLength(1);
  });

  it('[CLI-2] a network that returns is used at once, and not after the pause', async () => {
    const options = 'storage: localStorage';
    expect(PAGE).toContain(options);
    const patient = `${options}, socket: { reconnectionDelay: 3_600_000, reconnectionDelayMax: 3_600_000 }`;
    const { running, url, context } = await start(PAGE.replace(options, patient));
    const page = await open(context, url);
    await until(async () => (await state(page))?.startsWith('connected') === true, 'the session');
    for (const said of ['one', 'two']) {
      await context.setOffline(true);
      await until(async () => (await state(page))?.startsWith('reconnecting') === true, 'it to be away');
      await send(page, said);
      await context.setOffline(false);
      (await running.model.nextCall()).answer(`re: ${said}`);
    }
    await shows(
      page,
      'user -: one',
      'assistant completed: re: one',
      'user -: two',
      'assistant completed: re: two',
    );
  });

  it('[CLI-13] older messages page in, before what is shown, while an answer streams', async () => {
    const { running, url, context } = await start(PAGE);
    const page = await open(context, url);
    await until(async () => (await state(page))?.startsWith('connected') === true, 'the session');
    running.model.autoAnswer = (call) => call.answer(`re: ${call.asked}`);
    for (let index = 0; index < 27; index += 1) {
      await send(page, `m${index}`);
      await until(
        async () => (await messages(page)).at(-1) === `assistant completed: re: m${index}`,
        'an answer',
      );
      await until(async () => (await state(page)) === 'connected ready no error', 'its end');
    }
    await page.reload();
    await until(async () => (await messages(page)).length === 50, 'the newest');
    running.model.autoAnswer = undefined;
    await send(page, 'now');
    const call = (await running.model.nextCall()).begin().text('streaming');
    await until(async () => (await messages(page)).at(-1) === 'assistant -: streaming', 'the answer');
    await page.getByText('Older').click();
    await until(async () => (await messages(page)).length === 54, 'older ones');
    expect((await messages(page)).slice(0, 2)).toEqual(['user -: m1', 'assistant completed: re: m1']);
    await page.getByText('Older').click();
    await until(async () => (await messages(page)).length === 56, 'the oldest');
    call.text(' on').finish();
    await until(async () => (await messages(page)).at(-1) === 'assistant completed: streaming on', 'the end');
    const shown = await messages(page);
    expect([shown.length, new Set(shown).size]).toEqual([56, 56]);
  });

  it('[CLI-13] the page of the guide, as it stands: a cut and a reload amid an answer', async () => {
    const source = /```jsx\n([^]*?)```/.exec(GUIDE)?.[1] ?? '';
    expect(source.split('\n').filter((line) => line !== '')).toHaveLength(15);
    const { running, url, context } = await start(source);
    const page = await open(context, url);
    await page.locator('input').fill('Who are you?');
    await page.locator('input').press('Enter');
    const call = (await running.model.nextCall()).begin().text('I am ');
    const says = (text: string) =>
      until(
        async () => (await page.locator('body').textContent())?.includes(text) === true,
        `the page to say ${text}`,
      );
    await says('assistant: I am ');
    await cutAll(running);
    call.text('Alice');
    await says('assistant: I am Alice');
    await page.reload();
    await says('assistant: I am Alice');
    call.text(', your host.').finish();
    await says('assistant: I am Alice, your host.');
  });

  it('[CLI-13] assistant-ui, by the page of its guide: cut amid an answer, stopped, edited', async () => {
    const guide = readFileSync(new URL('../docs/guides/assistant-ui.md', import.meta.url), 'utf8');
    const { running, url, context } = await start(/```jsx\n([^]*?)```/.exec(guide)?.[1] ?? '');
    const page = await open(context, url);
    const says = (...expected: string[]) =>
      until(
        async () =>
          JSON.stringify(await page.locator('.message [data-status]').allTextContents()) ===
          JSON.stringify(expected),
        `the page to say ${JSON.stringify(expected)}`,
      );
    await page.getByPlaceholder('Say something').fill('Tell me');
    await page.getByText('Send').click();
    const call = (await running.model.nextCall()).begin().text('one ');
    await says('Tell me', 'one ');
    await cutAll(running);
    call.text('two ');
    await says('Tell me', 'one two ');
    await page.reload();
    await says('Tell me', 'one two ');
    await page.getByText('Stop').click();
    await until(() => call.aborted, 'the turn to be cancelled');
    await page.getByPlaceholder('Say something').fill('And then?');
    await page.getByText('Send').click();
    (await running.model.nextCall()).answer('The end.');
    await says('Tell me', 'one two ', 'And then?', 'The end.');
  });

  it.each(['http', 'websocket'])(
    '[HTTP-4 WS-2] stock useChat over %s, behind a proxy at one origin: a reload amid an answer, and nobody else’s',
    async (way) => {
      const { url, build } = await servePage(
        readFileSync(new URL('pages/stock.jsx', import.meta.url), 'utf8'),
      );
      const running = await gateway();
      await build(running.url);
      const { sessionId } = newCredentials();
      const visit = async (): Promise<Page> => {
        const context = await browser.newContext();
        onDispose(() => context.close());
        return open(context, `${url}/#${way}:${sessionId}`);
      };
      // What is not there is a 404 of history, which the browser tells of.
      const page = await visit();
      await page.getByText('Send').click();
      const call = (await running.model.nextCall()).begin().text('one ');
      const says = (...expected: string[]) =>
        until(
          async () => JSON.stringify(await messages(page)) === JSON.stringify(expected),
          `the page to say ${JSON.stringify(expected)}`,
        );
      await says('user: Tell me', 'assistant: one ');
      await page.reload();
      await says('user: Tell me', 'assistant: one ');
      call.text('two').finish();
      await says('user: Tell me', 'assistant: one two');
      await until(async () => (await state(page)) === 'ready', 'the end');
      const stranger = await visit();
      await until(async () => (await state(stranger)) === 'ready', 'the other page');
      expect(await messages(stranger)).toEqual([]);
    },
  );
});
