import { describe, expect, it } from '@jest/globals';
import { flaws } from './support/axe.js';
import { browserAvailable } from './support/browser.js';
import { gateway } from './support/gateway.js';
import { NARROW, SCREENS } from './support/screens.js';
import { useBrowser } from './support/visitors.js';

const ANSWER = `## Words

A [link](https://example.com), \`code\`, **bold** and:

- a list

| a | table |
| - | ----- |
| 1 | 2     |

> a quotation

\`\`\`ts
// A comment
const text: string = "a string" + 1;
\`\`\`
`;

(browserAvailable ? describe : describe.skip)('the page for everyone', () => {
  const { visitor, open } = useBrowser();

  it.each(SCREENS)('[WEB-2] axe finds no flaw %s', async (_, screen) => {
    const running = await gateway();
    const chat = await open(await visitor(screen), running.url);
    expect(await flaws(chat.page)).toEqual([]);
    await chat.say('Tell me');
    const call = (await running.model.nextCall())
      .begin()
      .part({ type: 'reasoning', text: 'Let me see.' })
      .text(ANSWER)
      .part({ type: 'tool-call', toolCallId: 'a', toolName: 'current_time', input: '{}' })
      .part({ type: 'tool-call', toolCallId: 'b', toolName: 'no_such_tool', input: '{}' });
    call.finish('tool-calls');
    const next = (await running.model.nextCall()).begin().text('And so');
    await chat.say('one that waits');
    await chat.at('queue').waitFor();
    for (const summary of await chat.page.locator('summary').all()) await summary.click();
    expect(await flaws(chat.page)).toEqual([]);
    next.finish();
    (await running.model.nextCall()).begin().fail(new Error('gone'));
    await chat.page.locator('[data-testid=message][data-status=failed]').waitFor();
    await chat.at('message').first().hover();
    await chat.at('message').first().getByRole('button', { name: 'Edit' }).click();
    expect(await flaws(chat.page)).toEqual([]);
    await chat.page.keyboard.press('Escape');
    await chat.at('cut').click();
    await chat.away();
    expect(await flaws(chat.page)).toEqual([]);
    await chat.connected();
    await chat.at('notice').waitFor();
    expect(await flaws(chat.page)).toEqual([]);
    if (screen.viewport === NARROW) {
      await chat.at('nav-button').click();
      await chat.page.getByRole('button', { name: 'Close' }).waitFor();
      expect(await flaws(chat.page)).toEqual([]);
      await chat.page.keyboard.press('Escape');
    }
    await chat.at('new').click();
    await chat.shows();
    expect(await flaws(chat.page)).toEqual([]);
  });

  it('[WEB-2] who does not see the page is told that an answer begins, what it is, and how the connection fares', async () => {
    const running = await gateway();
    const chat = await open(await visitor(), running.url);
    const told = chat.page.locator('.unseen[aria-live=polite]');
    await chat.say('Tell me');
    const call = (await running.model.nextCall()).begin().text('The ');
    await told.getByText('The answer begins.').waitFor();
    await chat.at('cut').click();
    await told.getByText('Connection: cut.').waitFor();
    await chat.connected();
    await told.getByText('Connection: connected.').waitFor();
    call.text('sea.').finish();
    await told.getByText('The answer is there. The sea.').waitFor();
  });
});
