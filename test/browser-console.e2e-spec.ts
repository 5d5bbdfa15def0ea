import { describe, expect, it } from '@jest/globals';
import type { BrowserContext } from 'playwright-core';
import { flaws } from './support/axe.js';
import { browserAvailable } from './support/browser.js';
import { until } from './support/channel.js';
import { gateway, type TestGateway } from './support/gateway.js';
import { ADMIN_TOKEN, Operator } from './support/operator.js';
import type { ChatPage } from './support/page.js';
import { NARROW, SCREENS } from './support/screens.js';
import { useBrowser } from './support/visitors.js';

/** What a browser says of a request that was refused on purpose. */
const REFUSED = /^error: Failed to load resource: .* 404 /;

(browserAvailable ? describe : describe.skip)('the console', () => {
  const { visitor, blank } = useBrowser();

  async function signIn(context: BrowserContext, { url }: TestGateway): Promise<ChatPage> {
    const tab = await blank(context);
    await tab.page.goto(`${url}/console`);
    await tab.at('token').fill(ADMIN_TOKEN);
    await tab.at('token').press('Enter');
    await live(tab);
    return tab;
  }

  async function live(tab: ChatPage): Promise<void> {
    await tab.page.locator('[data-testid=link][data-state=live]').waitFor();
  }

  function rows(tab: ChatPage): Promise<string[]> {
    return tab.page.evaluate<string[]>(
      "[...document.querySelectorAll('[data-testid=session]')].map((row) => row.dataset.session)",
    );
  }

  function cells(tab: ChatPage, sessionId: string): Promise<string[]> {
    return tab.page.locator(`[data-session="${sessionId}"]`).locator('th, td').allTextContents();
  }

  it('[ADM-1] [ADM-9] asks for the token, which one tab keeps', async () => {
    const running = await gateway({ ADMIN_TOKEN });
    const context = await visitor();
    const tab = await blank(context);
    await tab.page.goto(`${running.url}/console`);
    expect(await tab.focused()).toBe('token');
    await tab.at('token').fill('a wrong one');
    await tab.at('sign-in').click();
    await tab.page.getByText('This token is not accepted.').waitFor();
    expect(tab.complaints.every((line) => REFUSED.test(line))).toBe(true);
    tab.console.splice(0);
    await tab.at('token').fill(ADMIN_TOKEN);
    await tab.at('sign-in').click();
    await live(tab);
    await tab.page.reload();
    await live(tab);
    const kept = 'JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }])';
    expect(await tab.page.evaluate<string>(kept)).toBe(
      JSON.stringify(['', {}, { 'mooring.admin-token': ADMIN_TOKEN }]),
    );
    const other = await blank(context);
    await other.page.goto(`${running.url}/console`);
    await other.at('token').waitFor();
    await tab.at('sign-out').click();
    await tab.at('token').waitFor();
    await tab.page.reload();
    await tab.at('token').waitFor();
  });

  it('[ADM-9] shows the sessions by state, one in full, and closes it', async () => {
    const running = await gateway({ ADMIN_TOKEN });
    const socket = await running.client();
    const idle = await socket.open();
    await socket.do('session:leave', { sessionId: idle.sessionId });
    const { sessionId } = await socket.open({ agent: 'debbie' });
    await socket.send(sessionId, 'a secret');
    (await running.model.nextCall()).answer('another secret');
    await socket.turn('completed');
    const { turnId } = await socket.send(sessionId, 'endless');
    const call = (await running.model.nextCall()).begin().text('and');

    const tab = await signIn(await visitor(), running);
    await until(async () => (await rows(tab)).length === 2, 'two sessions');
    const [, state, agent, age, active, sockets, turn, unsent, tokens] = await cells(tab, sessionId);
    expect([state, agent, sockets, turn, unsent, tokens]).toEqual([
      'attached',
      'debbie',
      '1',
      turnId,
      '0 B',
      '15',
    ]);
    expect([age, active]).toEqual([expect.stringMatching(/^\d+ s$/), expect.stringMatching(/^\d+ s ago$/)]);
    await tab.at('filter-detached').click();
    await until(async () => (await rows(tab)).join() === idle.sessionId, 'the detached one');
    await tab.at('filter-orphaned').click();
    await tab.page.getByText('No orphaned sessions.').waitFor();
    await tab.at('filter-all').click();
    await until(async () => (await rows(tab)).length === 2, 'both again');

    const opener = tab.page.locator(`[data-session="${sessionId}"] button`);
    await opener.focus();
    await tab.page.keyboard.press('Enter');
    await tab.at('detail-turn').getByText(turnId).waitFor();
    expect(await tab.at('detail-socket').allTextContents()).toEqual(['live, 0 events behind, 0 B unsent']);
    expect(await tab.page.content()).not.toContain('secret');
    await tab.page.keyboard.press('Escape');
    await tab.at('detail').waitFor({ state: 'detached' });
    expect(await tab.page.evaluate<string>('document.activeElement.textContent')).toBe(sessionId);

    await tab.at('find').fill(sessionId);
    await tab.at('find').press('Enter');
    await tab.at('read').click();
    await tab.at('content').getByText('another secret').waitFor();
    await tab.at('close').click();
    // What is about to be asked for may be given up.
    await tab.at('no').click();
    await tab.at('close').click();
    await tab.at('yes').click();
    await tab.page.getByText(`The session ${sessionId} is closed.`).waitFor();
    await until(async () => (await rows(tab)).join() === idle.sessionId, 'it to be gone');
    expect((await socket.until(({ type }) => type === 'session')).at(-1)).toMatchObject({ state: 'closed' });
    expect(call.aborted).toBe(true);

    await tab.at('find').fill(sessionId);
    await tab.at('find').press('Enter');
    await tab.at('gone').waitFor();
    expect(tab.complaints.every((line) => REFUSED.test(line))).toBe(true);
    tab.console.splice(0);
  });

  it('[ADM-9] has pages', async () => {
    const running = await gateway({ ADMIN_TOKEN });
    // As many as a socket may hold.
    for (const count of [16, 14]) {
      const socket = await running.client();
      for (let opened = 0; opened < count; opened += 1) await socket.open();
    }
    const tab = await signIn(await visitor(), running);
    await until(async () => (await rows(tab)).length === 25, 'the first page');
    const first = await rows(tab);
    await tab.at('next').click();
    await until(async () => (await rows(tab)).length === 5, 'the second page');
    expect(new Set([...first, ...(await rows(tab))]).size).toBe(30);
    expect(await tab.at('next').isDisabled()).toBe(true);
    await tab.at('previous').click();
    await until(async () => (await rows(tab)).join() === first.join(), 'the first page again');
  });

  it('[ADM-9] draws streams, orphans, dropped sends and resumes as they happen', async () => {
    const running = await gateway({ ADMIN_TOKEN });
    const socket = await running.client();
    const opened = await socket.open();
    const { sessionId, key, position } = opened;
    const tab = await signIn(await visitor(), running);
    await tab.page.locator('[data-testid=chart-streams][data-now="0"]').waitFor();
    await socket.send(sessionId, 'endless');
    const call = (await running.model.nextCall()).begin().text('and ');
    await tab.page.locator('[data-testid=chart-streams][data-now="1"]').waitFor();
    await tab.page.getByRole('img', { name: 'Streams over five minutes: now 1, at most 1' }).waitFor();
    socket.vanish();
    await tab.page.locator('[data-testid=chart-orphans][data-now="1"]').waitFor();
    call.text('so ', 'on');
    await tab.page.locator('[data-testid=chart-droppedSends]:not([data-most="0"])').waitFor();
    const back = await running.client();
    await back.open({ sessionId, key, position });
    await tab.page.locator('[data-testid=chart-resumes]:not([data-most="0"])').waitFor();
    await tab.page.locator('[data-testid=chart-orphans][data-now="0"]').waitFor();
    await tab.at('figures').getByText('Dropped sends').first().waitFor();
  });

  it('[ADM-9] says that the gateway is gone, and comes back by itself', async () => {
    const running = await gateway({ ADMIN_TOKEN, STORE: 'sqlite' });
    const { sessionId } = await (await running.client()).open();
    const tab = await signIn(await visitor(), running);
    await until(async () => (await rows(tab)).length === 1, 'the session');
    await running.restartGateway(async () => {
      await tab.at('away').waitFor();
      // What was last known stays, and nothing can be done to it.
      expect(await rows(tab)).toEqual([sessionId]);
      expect(await tab.at('drain').isDisabled()).toBe(true);
    });
    await live(tab);
    await tab.at('away').waitFor({ state: 'detached' });
    expect((await cells(tab, sessionId))[1]).toBe('detached');
  });

  it('[ADM-4] [ADM-9] drains the node, and shows that it drains', async () => {
    const running = await gateway({ ADMIN_TOKEN });
    const tab = await signIn(await visitor(), running);
    await tab.at('drain').click();
    await tab.at('no').click();
    expect((await new Operator(running.url).stats()).node.draining).toBe(false);
    await tab.at('drain').click();
    await tab.at('yes').click();
    await tab.at('draining').waitFor();
    expect(await tab.at('drain').isDisabled()).toBe(true);
    expect((await fetch(`${running.url}/health/ready`)).status).toBe(503);
  });

  it.each(SCREENS)('[ADM-9] axe finds no flaw %s', async (name, screen) => {
    const running = await gateway({ ADMIN_TOKEN });
    const context = await visitor(screen);
    const tab = await blank(context);
    await tab.page.goto(`${running.url}/console`);
    expect(await flaws(tab.page)).toEqual([]);
    await tab.at('token').fill(ADMIN_TOKEN);
    await tab.at('sign-in').click();
    await tab.at('empty').waitFor();
    expect(await flaws(tab.page)).toEqual([]);

    const socket = await running.client();
    for (let count = 0; count < 3; count += 1) {
      const { sessionId } = await socket.open();
      if (count === 2) await socket.do('session:leave', { sessionId });
      if (count !== 1) continue;
      await socket.send(sessionId, 'Tell me');
      (await running.model.nextCall()).begin().text('one ');
    }
    await until(async () => (await rows(tab)).length === 3, 'three sessions');
    expect(await flaws(tab.page)).toEqual([]);
    await shoot(tab, name, 'board');
    // No sideways scrolling of the page itself.
    const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
    expect(await tab.page.evaluate<number>(overflow)).toBe(0);
    if (screen.viewport === NARROW)
      expect(await tab.page.getByRole('columnheader', { name: 'Age' }).isVisible()).toBe(true);

    await tab.at('session').first().getByRole('button').click();
    await tab.at('read').click();
    await tab.at('content').waitFor();
    expect(await flaws(tab.page)).toEqual([]);
    await tab.at('close').click();
    expect(await flaws(tab.page)).toEqual([]);
    await shoot(tab, name, 'detail');
    await tab.page.keyboard.press('Escape');
    await tab.at('drain').click();
    await tab.at('yes').click();
    await tab.at('draining').waitFor();
    expect(await flaws(tab.page)).toEqual([]);
  });

  async function shoot(tab: ChatPage, name: string, what: string): Promise<void> {
    const folder = process.env['SHOOT'];
    if (folder) await tab.page.screenshot({ path: `${folder}/${what} ${name}.png`, fullPage: true });
  }
});
