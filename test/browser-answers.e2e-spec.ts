import { describe, expect, it } from '@jest/globals';
import { ModelError } from '../src/agents/model.provider.js';
import { browserAvailable } from './support/browser.js';
import { gateway } from './support/gateway.js';
import type { ChatPage } from './support/page.js';
import { useBrowser } from './support/visitors.js';

/** Keeps what is shown of the conversation so far, apart from the block that is being written. */
const WATCH = `{
  const blocks = [...document.querySelectorAll('[data-testid=message] .text > *')];
  const settled = blocks.slice(0, -1);
  window.watched = { settled, tops: settled.map((block) => block.offsetTop), changes: 0 };
  const observer = new MutationObserver((changes) => { window.watched.changes += changes.length; });
  const what = { childList: true, characterData: true, attributes: true, subtree: true };
  for (const block of settled) observer.observe(block, what);
}`;
/** How many blocks are watched, and in how many of them anything was drawn again, moved or taken out. */
const WATCHED = `({
  count: window.watched.settled.length,
  changes: window.watched.changes,
  gone: window.watched.settled.filter((block) => !block.isConnected).length,
  moved: window.watched.settled.filter((block, index) => block.offsetTop !== window.watched.tops[index]).length,
})`;

interface Watched {
  count: number;
  changes: number;
  gone: number;
  moved: number;
}

(browserAvailable ? describe : describe.skip)('answers on the page', () => {
  const { visitor, open, answering } = useBrowser();

  it('[WEB-4] while an answer is written, what is above its end is neither drawn again nor moved', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    call.text(
      'paragraph\n\n- a\n- list\n\n```ts\nconst one = 1;\n```\n\nA last [link](https://example.com/1) and',
    );
    await chat.at('text').last().getByText('A last link and').waitFor();
    await chat.page.evaluate(WATCH);
    call.text(' so on.\n\n| a | table |\n| - | - |\n');
    await chat.at('text').last().getByRole('table').waitFor();
    for (let row = 0; row < 20; row += 1) call.text(`| ${row} | row ${row} |\n`);
    call.text('\n```js\nlet two = 2;\n');
    await chat.at('text').last().getByText('let two').waitFor();
    call.text('```\n\nThe end.').finish();
    await chat.at('text').last().getByText('The end.').waitFor();
    await chat.at('stop').waitFor({ state: 'detached' });
    const watched = await chat.page.evaluate<Watched>(WATCHED);
    expect(watched).toEqual({ count: 3, changes: 0, gone: 0, moved: 0 });
  });

  it('[WEB-4] nothing moves when an answer ends', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    const height =
      'document.querySelector("main").scrollHeight + " " + document.querySelector("[data-testid=messages]").offsetHeight';
    const written = await chat.page.evaluate<string>(height);
    call.finish();
    await chat.shows('user sent: Tell me', 'assistant completed: one');
    await chat.at('message').last().getByRole('button', { name: 'Try again' }).waitFor();
    expect(await chat.page.evaluate<string>(height)).toBe(written);
  });

  it('[WEB-4] of an answer that never came it says why, and shows nothing else', async () => {
    const running = await gateway();
    const chat = await open(await visitor(), running.url);
    const told = chat.page.locator('.unseen[aria-live=polite]');
    await chat.say('Tell me');
    const call = (await running.model.nextCall()).begin();
    await told.getByText('The answer begins.').waitFor();
    call.fail(new ModelError('provider_error', 'gone'));
    await told.getByText('The answer is there. The model could not answer.', { exact: true }).waitFor();
    await chat.shows('user sent: Tell me', 'assistant failed:');
    await chat.at('message').last().getByText('The model could not answer.').waitFor();
    await chat.page.reload();
    await chat.connected();
    await chat.shows('user sent: Tell me', 'assistant failed:');
    await chat.at('message').last().getByText('The answer failed.').waitFor();
  });

  it('[WEB-4] the end stays in view while the reader is there, and what the reader looks at elsewhere', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running, { viewport: { width: 600, height: 500 } });
    const atEnd = async (): Promise<number> =>
      chat.page.evaluate<number>(
        '{ const main = document.querySelector("main"); Math.round(main.scrollHeight - main.scrollTop - main.clientHeight) }',
      );
    for (let line = 0; line < 60; line += 1) call.text(`Line ${line}\n\n`);
    await chat.at('text').last().getByText('Line 59').waitFor();
    expect(await atEnd()).toBeLessThanOrEqual(1);
    await chat.page.locator('main').hover();
    await chat.page.mouse.wheel(0, -900);
    await chat.at('latest').waitFor();
    const top = 'document.querySelector("main").scrollTop';
    const looksAt = await chat.page.evaluate<number>(top);
    for (let line = 60; line < 90; line += 1) call.text(`Line ${line}\n\n`);
    await chat.at('text').last().getByText('Line 89').waitFor({ state: 'attached' });
    expect(await chat.page.evaluate<number>(top)).toBe(looksAt);
    await chat.at('latest').click();
    await chat.at('latest').waitFor({ state: 'detached' });
    call.text('Line 90').finish();
    await chat.at('text').last().getByText('Line 90').waitFor();
    expect(await atEnd()).toBeLessThanOrEqual(1);
  });

  it('[WEB-4] code can be copied, and so can an answer', async () => {
    const running = await gateway();
    const context = await visitor({ permissions: ['clipboard-read', 'clipboard-write'] });
    const chat = await open(context, running.url);
    const clipboard = (): Promise<string> => chat.page.evaluate<string>('navigator.clipboard.readText()');
    await chat.say('Code?');
    const answer = '**Here:**\n\n```js\nlet one = 1;\n```\n';
    (await running.model.nextCall()).answer(answer);
    await chat.page.getByRole('button', { name: 'Copy the code' }).click();
    await chat.page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await clipboard()).toBe('let one = 1;\n');
    await chat.page.getByRole('button', { name: 'Copy the answer' }).click();
    await chat.page.getByRole('button', { name: 'Copied' }).nth(1).waitFor();
    expect(await clipboard()).toBe(answer);
  });

  it('[WEB-6] a call of a tool shows its input as it is written, then its output; another its error', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    call.part({ type: 'tool-input-start', toolCallId: 'a', toolName: 'current_time' });
    await inState(chat, 0, 'input-streaming', 'Using current_time…');
    call.part({ type: 'tool-input-delta', toolCallId: 'a', text: '{"timezone":"Europe/' });
    await chat.at('tool').first().locator('summary').click();
    await chat.at('tool').first().getByText('"Europe/"').waitFor();
    const rest = 'Oslo"}';
    call
      .part({ type: 'tool-input-delta', toolCallId: 'a', text: rest })
      .part({
        type: 'tool-call',
        toolCallId: 'a',
        toolName: 'current_time',
        input: `{"timezone":"Europe/${rest}`,
      })
      .part({ type: 'tool-call', toolCallId: 'b', toolName: 'current_time', input: '{"timezone":"Nowhere"}' })
      .finish('tool-calls');
    await inState(chat, 0, 'output-available', 'Used current_time');
    await chat.at('tool').first().getByText('"Europe/Oslo"').first().waitFor();
    await chat.at('tool').first().getByText('Output').waitFor();
    await inState(chat, 1, 'output-error', 'current_time failed');
    (await running.model.nextCall()).answer('It is late.');
    await chat.shows('user sent: Tell me', 'assistant completed: oneIt is late.');
    await chat.page.reload();
    await inState(chat, 0, 'output-available', 'Used current_time');
    await inState(chat, 1, 'output-error', 'current_time failed');
    await chat.at('tool').nth(1).locator('summary').click();
    await chat.at('tool').nth(1).getByText('Error', { exact: true }).waitFor();
  });

  it('[WEB-6] a call that a cut connection missed is shown when it returns', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    call.part({ type: 'tool-input-start', toolCallId: 'a', toolName: 'current_time' });
    await inState(chat, 0, 'input-streaming', 'Using current_time…');
    await chat.at('cut').click();
    await chat.away();
    call
      .part({ type: 'tool-call', toolCallId: 'a', toolName: 'current_time', input: '{}' })
      .finish('tool-calls');
    const next = await running.model.nextCall();
    await chat.connected();
    await inState(chat, 0, 'output-available', 'Used current_time');
    next.answer('It is noon.');
    await chat.shows('user sent: Tell me', 'assistant completed: oneIt is noon.');
    expect(await chat.at('tool').count()).toBe(1);
  });
});

async function inState(chat: ChatPage, index: number, state: string, summary: string): Promise<void> {
  const tool = chat.page.locator(`[data-testid=tool]`).nth(index);
  await tool.locator('xpath=self::*[@data-state="' + state + '"]').waitFor({ state: 'attached' });
  expect(await tool.locator('summary').textContent()).toBe(summary);
}
