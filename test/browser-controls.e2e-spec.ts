import { describe, expect, it } from '@jest/globals';
import { SessionStore } from '../src/sessions/session.store.js';
import { AgentLoopService } from '../src/agents/agent-loop.service.js';
import { browserAvailable } from './support/browser.js';
import { gateway, type TestGateway } from './support/gateway.js';
import type { ChatPage } from './support/page.js';
import { useBrowser } from './support/visitors.js';

const NARROW = { viewport: { width: 360, height: 640 } };
const WORD = 'Donaudampfschifffahrtsgesellschaft'.repeat(5);

/** What sticks out to the right of what can be seen, in the page or in the list. Code and tables scroll by themselves. */
function overflowing(chat: ChatPage): Promise<string[]> {
  return chat.page.evaluate<string[]>(`[document.documentElement, ...document.querySelectorAll('body *')]
    .filter((node) => node.checkVisibility() && !node.closest('.unseen'))
    .filter((node) => !node.parentElement?.closest('pre, .table'))
    .filter((node) => node.getBoundingClientRect().right > innerWidth + 0.5)
    .map((node) => node.tagName + '.' + node.className)`);
}

/** As an admin does. */
async function closeOnlySession(running: TestGateway): Promise<void> {
  const { sessions } = await running.get(SessionStore).list({ limit: 2 });
  expect(sessions).toHaveLength(1);
  await running.get(AgentLoopService).close(sessions[0]?.sessionId ?? '');
}

(browserAvailable ? describe : describe.skip)('what a person can do on the page', () => {
  const { visitor, open, answering } = useBrowser();

  it('[WEB-2] stop keeps what was shown and marks it, and it can be tried again', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    await chat.at('stop').click();
    const stopped = ['user sent: Tell me', 'assistant cancelled: one '];
    await chat.shows(...stopped);
    expect(call.aborted).toBe(true);
    await chat.at('message').last().getByText('Stopped.').waitFor();
    await chat.at('stop').waitFor({ state: 'hidden' });
    await chat.page.reload();
    await chat.shows(...stopped);
    await chat.at('message').last().getByRole('button', { name: 'Try again' }).click();
    (await running.model.nextCall()).answer('The whole of it.');
    await chat.shows('user sent: Tell me', 'assistant completed: The whole of it.');
  });

  it('[WEB-2] messages wait their turn, are shown to wait, and one can be withdrawn', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    await chat.say('two');
    await chat.at('queue').getByText('1 message waits').waitFor();
    await chat.say('three');
    await chat.at('queue').getByText('2 messages wait').waitFor();
    await chat.shows(
      'user sent: Tell me',
      'assistant streaming: one ',
      'user queued: two',
      'user queued: three',
    );
    await chat.at('message').nth(2).getByRole('button', { name: 'Withdraw' }).click();
    await chat.at('queue').getByText('1 message waits').waitFor();
    call.finish();
    const next = await running.model.nextCall();
    expect(next.asked).toBe('three');
    next.answer('3');
    await chat.at('queue').waitFor({ state: 'hidden' });
    const rows = [
      'user sent: Tell me',
      'assistant completed: one ',
      'user sent: two',
      // What the model is told in its place is nothing for a person.
      'assistant cancelled:',
      'user sent: three',
      'assistant completed: 3',
    ];
    await chat.shows(...rows);
    await chat.page.reload();
    await chat.shows(...rows);
  });

  it('[WEB-2] an agent is chosen, switched between answers, and remembered', async () => {
    const running = await gateway();
    const chat = await open(await visitor(), running.url);
    const select = chat.at('agent-select');
    expect(await select.locator('option').allTextContents()).toEqual(['Alice', 'Debbie', 'Patricia']);
    expect(await select.inputValue()).toBe('alice');
    await chat.say('one');
    const first = await running.model.nextCall();
    expect(first.request.prompt[0]?.content).toMatch(/^You are Alice/);
    first.begin().text('I am Alice.');
    await chat.shows('user sent: one', 'assistant streaming: I am Alice.');
    await select.selectOption('Debbie');
    await chat.say('two');
    await chat.at('queue').waitFor();
    first.finish();
    const second = await running.model.nextCall();
    expect(second.request.prompt[0]?.content).toMatch(/^You are Debbie/);
    second.answer('I am Debbie.');
    await chat.at('message').nth(1).getByText('Alice', { exact: true }).waitFor();
    await chat.at('message').nth(3).getByText('Debbie', { exact: true }).waitFor();
    await chat.page.reload();
    await chat.connected();
    expect(await select.inputValue()).toBe('debbie');
    await chat.at('new').click();
    await chat.shows();
    await chat.connected();
    await chat.say('anew');
    const anew = await running.model.nextCall();
    expect(anew.request.prompt.map(({ role }) => role)).toEqual(['system', 'user']);
    expect(anew.request.prompt[0]?.content).toMatch(/^You are Debbie/);
    anew.answer('ok');
    await chat.shows('user sent: anew', 'assistant completed: ok');
  });

  it('[WEB-2] text is never HTML: of messages, answers, thoughts, tools and names', async () => {
    const running = await gateway();
    const chat = await open(await visitor(), running.url);
    const html = '<img src=x onerror="document.title=1"><b>bold</b><script>document.title=2</script>&amp;';
    await chat.say(html);
    (await running.model.nextCall())
      .begin()
      .part({ type: 'reasoning', text: html })
      .text(html)
      .part({ type: 'tool-call', toolCallId: 'a', toolName: html, input: JSON.stringify({ html }) })
      .finish('tool-calls');
    (await running.model.nextCall()).answer(html);
    // An entity is Markdown too, and what it stands for is text as well.
    const asMarkdown = html.replace('&amp;', '&');
    await chat.shows(`user sent: ${html}`, `assistant completed: ${asMarkdown}${asMarkdown}`);
    await chat.at('reasoning').getByText('Thoughts').click();
    await chat.at('reasoning').getByText(html).waitFor();
    await chat.at('tool').locator('summary').click();
    await chat.at('tool').locator('pre').first().waitFor();
    expect(await chat.at('messages').locator('img, b, script').count()).toBe(0);
    expect(await chat.page.title()).toBe('Mooring');
  });

  it('[WEB-2] everything can be done by keyboard', async () => {
    const running = await gateway();
    const chat = await open(await visitor(), running.url);
    const { keyboard } = chat.page;
    expect(await chat.focused()).toBe('composer');
    await chat.tabTo('agent-select', 'Shift+Tab');
    await keyboard.press('ArrowDown');
    await chat.tabTo('composer');
    await keyboard.type('Hello');
    await keyboard.press('Shift+Enter');
    await keyboard.type('there');
    await keyboard.press('Enter');
    const call = await running.model.nextCall();
    expect(call.asked).toBe('Hello\nthere');
    expect(call.request.prompt[0]?.content).toMatch(/^You are Debbie/);
    call.begin().text('one ');
    await chat.shows('user sent: Hello\nthere', 'assistant streaming: one ');
    await chat.tabTo('cut', 'Shift+Tab');
    await keyboard.press('Enter');
    await chat.away();
    await chat.connected();
    await chat.tabTo('stop');
    await keyboard.press('Space');
    await chat.shows('user sent: Hello\nthere', 'assistant cancelled: one ');
    // Where the stopped one goes on to write, without looking for the composer.
    expect(await chat.focused()).toBe('composer');
    await keyboard.type('Again');
    await keyboard.press('Enter');
    (await running.model.nextCall()).answer('Yes.');
    await chat.at('message').nth(3).getByText('Yes.').waitFor();
    await chat.tabTo('new', 'Shift+Tab');
    await keyboard.press('Enter');
    await chat.shows();
    expect(await chat.focused()).toBe('composer');
  });

  it('[WEB-2] 360 pixels are wide enough for all of it', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running, NARROW);
    expect(await overflowing(chat)).toEqual([]);
    call
      .part({ type: 'reasoning', text: WORD })
      .part({
        type: 'tool-call',
        toolCallId: 'a',
        toolName: 'current_time',
        input: JSON.stringify({ timezone: WORD }),
      })
      .finish('tool-calls');
    (await running.model.nextCall()).begin().text(`${WORD}\n\n    ${'x'.repeat(300)}`);
    await chat.say(WORD);
    await chat.at('queue').waitFor();
    await chat.at('reasoning').locator('summary').click();
    await chat.at('tool').locator('summary').click();
    await chat.at('cut').click();
    await chat.away();
    expect(await overflowing(chat)).toEqual([]);
    await chat.connected();
    await chat.at('notice').waitFor();
    expect(await overflowing(chat)).toEqual([]);
    const scrolls = 'document.querySelector("main").scrollWidth > document.querySelector("main").clientWidth';
    expect(await chat.page.evaluate(scrolls)).toBe(false);
    for (const testId of ['agent-select', 'cut', 'new', 'composer', 'stop', 'send']) {
      const { x = -1, y = -1, width = 0, height = 0 } = (await chat.at(testId).boundingBox()) ?? {};
      expect([x >= 0, y >= 0, x + width <= 360, y + height <= 640, testId]).toEqual([
        true,
        true,
        true,
        true,
        testId,
      ]);
    }
  });

  it('[WEB-2] who edits is told what it takes away, on a narrow screen as well', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running, NARROW);
    call.finish();
    await chat.shows('user sent: Tell me', 'assistant completed: one');
    await chat.at('message').first().hover();
    await chat.at('message').first().getByRole('button', { name: 'Edit' }).click();
    await chat.page.getByText('All that came after it is withdrawn').waitFor();
    expect(await overflowing(chat)).toEqual([]);
  });

  it('[WEB-2] a session that was closed elsewhere says so, and a new one takes its place', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    await closeOnlySession(running);
    await chat.shows('user sent: Tell me', 'assistant interrupted: one ');
    expect(call.aborted).toBe(true);
    await chat.at('notice').getByText('was closed').waitFor();
    expect(await chat.at('composer').isDisabled()).toBe(true);
    await chat.page.reload();
    await chat.connected();
    await chat.say('Hello?');
    (await running.model.nextCall()).answer('Hello.');
    await chat.shows('user sent: Hello?', 'assistant completed: Hello.');
  });

  it('[WEB-2] [WEB-5] so does one that was closed while nobody looked', async () => {
    const running = await gateway();
    const { chat, context } = await answering(running);
    await chat.page.close();
    await closeOnlySession(running);
    const later = await open(context, running.url);
    await later.at('notice').getByText('a new one').waitFor();
    await later.say('Hello?');
    (await running.model.nextCall()).answer('Hello.');
    await later.shows('user sent: Hello?', 'assistant completed: Hello.');
  });

  it('[WEB-2] [SES-10] earlier messages are loaded when asked for, each once and in order', async () => {
    const running = await gateway();
    running.model.autoAnswer = (call) => call.answer(`re: ${call.asked}`);
    const chat = await open(await visitor(), running.url);
    const rows: string[] = [];
    for (let count = 0; count < 28; count += 1) {
      await chat.say(`${count}`);
      rows.push(`user sent: ${count}`, `assistant completed: re: ${count}`);
      await chat.shows(...rows);
    }
    await chat.page.reload();
    await chat.shows(...rows.slice(-50));
    await chat.at('older').click();
    await chat.shows(...rows);
    expect(await chat.at('older').isVisible()).toBe(false);
  });
});
