import { describe, expect, it, jest } from '@jest/globals';
import type { BrowserContext } from 'playwright-core';
import { AgentLoopService } from '../src/agents/agent-loop.service.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { browserAvailable } from './support/browser.js';
import { gateway, type TestGateway } from './support/gateway.js';
import type { ChatPage } from './support/page.js';
import { useBrowser } from './support/visitors.js';

// On a busy machine a tab of Chromium may read what another one wrote to localStorage late, in spite of the Web Lock that
// the client holds: then two tabs that are opened at once have each a conversation of their own.
jest.retryTimes(2, { logErrorsBeforeRetry: true });

(browserAvailable ? describe : describe.skip)('several conversations on the page', () => {
  const { visitor, blank, open } = useBrowser();

  /** A visitor with two conversations, the second one shown. */
  async function twoConversations(): Promise<{
    running: TestGateway;
    context: BrowserContext;
    chat: ChatPage;
  }> {
    const running = await gateway();
    running.model.autoAnswer = (call) => call.answer(`re: ${call.asked}`);
    const context = await visitor();
    const chat = await open(context, running.url);
    await chat.say('first');
    await chat.shows('user sent: first', 'assistant completed: re: first');
    await chat.at('new').click();
    await chat.shows();
    await chat.say('second');
    await chat.shows('user sent: second', 'assistant completed: re: second');
    return { running, context, chat };
  }

  function listed(chat: ChatPage): Promise<string[]> {
    return chat.at('conversations').locator('.conversation').allTextContents();
  }

  it('[WEB-5] each is kept and can be gone back to; the last used one comes first', async () => {
    const { chat } = await twoConversations();
    expect(await listed(chat)).toEqual(['second', 'first']);
    await chat.page.getByRole('button', { name: 'first', exact: true }).click();
    await chat.shows('user sent: first', 'assistant completed: re: first');
    expect(await listed(chat)).toEqual(['second', 'first']);
    await chat.connected();
    await chat.say('more');
    const rows = [
      'user sent: first',
      'assistant completed: re: first',
      'user sent: more',
      'assistant completed: re: more',
    ];
    await chat.shows(...rows);
    expect(await listed(chat)).toEqual(['first', 'second']);
    await chat.page.goBack();
    await chat.shows('user sent: second', 'assistant completed: re: second');
    await chat.page.goForward();
    await chat.shows(...rows);
    await chat.page.reload();
    await chat.shows(...rows);
  });

  it('[WEB-5] an answer goes on in a conversation that is not looked at', async () => {
    const running = await gateway();
    const chat = await open(await visitor(), running.url);
    await chat.say('long');
    const call = (await running.model.nextCall()).begin().text('one ');
    await chat.shows('user sent: long', 'assistant streaming: one');
    await chat.at('new').click();
    await chat.shows();
    call.text('two ');
    await chat.say('short');
    (await running.model.nextCall()).answer('Yes.');
    await chat.shows('user sent: short', 'assistant completed: Yes.');
    call.text('three');
    await chat.page.getByRole('button', { name: 'long', exact: true }).click();
    await chat.shows('user sent: long', 'assistant streaming: one two three');
    call.finish();
    await chat.shows('user sent: long', 'assistant completed: one two three');
  });

  it('[WEB-5] two tabs that are opened at once on a first visit show the same one', async () => {
    const running = await gateway();
    const context = await visitor();
    const tabs = await Promise.all([blank(context), blank(context)]);
    await Promise.all(tabs.map((tab) => tab.go(running.url)));
    const [one, other] = tabs;
    await one.say('Hello');
    (await running.model.nextCall()).answer('Hi.');
    for (const tab of tabs) await tab.shows('user sent: Hello', 'assistant completed: Hi.');
    expect((await running.get(SessionStore).list({ limit: 9 })).sessions).toHaveLength(1);
    await other.page.getByRole('button', { name: 'Hello', exact: true }).waitFor();
  });

  it('[WEB-5] deleting one closes it for everyone, in every tab', async () => {
    const { running, context, chat } = await twoConversations();
    const other = await open(context, chat.page.url());
    await other.shows('user sent: second', 'assistant completed: re: second');
    const questions: string[] = [];
    chat.page.on('dialog', (dialog) => {
      questions.push(dialog.message());
      void (questions.length === 1 ? dialog.dismiss() : dialog.accept());
    });
    const remove = chat.page.getByRole('button', { name: 'Delete second' });
    await remove.click();
    expect(await listed(chat)).toEqual(['second', 'first']);
    await remove.click();
    expect(questions[1]).toBe('Delete “second” for everyone? It cannot be brought back.');
    await chat.shows('user sent: first', 'assistant completed: re: first');
    expect(await listed(chat)).toEqual(['first']);
    await other.at('notice').getByText('was closed').waitFor();
    expect(await listed(other)).toEqual(['first']);
    expect((await running.get(SessionStore).list({ limit: 9 })).sessions).toHaveLength(1);
  });

  it('[WEB-5] one that is gone when it is gone back to is replaced, and taken off the list', async () => {
    const { running, chat } = await twoConversations();
    const { sessions } = await running.get(SessionStore).list({ limit: 9 });
    const first = sessions.reduce((one, two) => (one.updatedAt < two.updatedAt ? one : two));
    await running.get(AgentLoopService).close(first.sessionId);
    await chat.page.getByRole('button', { name: 'first', exact: true }).click();
    await chat.at('notice').getByText('a new one').waitFor();
    await chat.shows();
    expect(await listed(chat)).toEqual(['second']);
    await chat.connected();
    await chat.say('third');
    await chat.shows('user sent: third', 'assistant completed: re: third');
  });

  it('[WEB-2] a message can be edited: what came after it is withdrawn, and it is answered anew', async () => {
    const { chat } = await twoConversations();
    await chat.say('more');
    await chat.at('message').nth(3).getByText('re: more').waitFor();
    await chat.at('message').first().getByRole('button', { name: 'Edit' }).click();
    expect(await chat.focused()).toBe('edit');
    await chat.page.keyboard.press('Escape');
    await chat.at('edit').waitFor({ state: 'detached' });
    expect(await chat.messages()).toHaveLength(4);
    await chat.at('message').first().getByRole('button', { name: 'Edit' }).click();
    await chat.at('edit').fill('Second');
    await chat.at('edit').press('Enter');
    await chat.shows('user sent: Second', 'assistant completed: re: Second');
    await chat.page.reload();
    await chat.shows('user sent: Second', 'assistant completed: re: Second');
  });

  it('[WEB-2] an answer can be asked for again', async () => {
    const { running, chat } = await twoConversations();
    running.model.autoAnswer = (call) => call.answer(`again: ${call.asked}`);
    await chat.page.getByRole('button', { name: 'Try again' }).click();
    await chat.shows('user sent: second', 'assistant completed: again: second');
  });
});
