import { describe, expect, it } from '@jest/globals';
import { ChatGateway } from '../src/gateway/chat.gateway.js';
import { browserAvailable } from './support/browser.js';
import { until } from './support/channel.js';
import { cutAll } from './support/cut.js';
import { gateway, onDispose, temporaryDirectory, type TestGateway } from './support/gateway.js';
import { gatewayProcess } from './support/gateway.process.js';
import { startOpenAiServer } from './support/openai.server.js';
import { useBrowser } from './support/visitors.js';

async function unattended({ get }: TestGateway): Promise<void> {
  await until(() => get(ChatGateway).sockets === 0, 'the page to be gone');
}

(browserAvailable ? describe : describe.skip)('the page in a real browser', () => {
  const { visitor, blank, open, answering } = useBrowser();

  it('[WEB-1] cut in the middle of an answer, it ends with the whole text, once', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    await chat.at('cut').click();
    await chat.away();
    await unattended(running);
    call.text('two ');
    expect(await chat.messages()).toEqual(['user sent: Tell me', 'assistant streaming: one']);
    await chat.connected();
    await chat.shows('user sent: Tell me', 'assistant streaming: one two ');
    call.text('three').finish();
    await chat.shows('user sent: Tell me', 'assistant completed: one two three');
    expect(running.model.calls).toHaveLength(1);
  });

  it('[WEB-1] its connection destroyed by the server again and again, it ends with the whole text, once', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    let text = 'one ';
    for (const [during, after] of [
      ['two ', 'three '],
      ['four ', 'five '],
      ['six ', 'seven '],
    ] as const) {
      expect(await cutAll(running)).toBe(1);
      call.text(during);
      await chat.away();
      await chat.connected();
      call.text(after);
      text += during + after;
      await chat.shows('user sent: Tell me', `assistant streaming: ${text}`);
    }
    await cutAll(running);
    call.text('eight').finish();
    await chat.shows('user sent: Tell me', `assistant completed: ${text}eight`);
  });

  it('[WEB-1] what is said and stopped while the connection is away is done when it returns', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    await chat.at('cut').click();
    await chat.away();
    await unattended(running);
    call.text('two ');
    await chat.at('stop').click();
    await chat.say('And then?');
    await chat.shows('user sent: Tell me', 'assistant streaming: one ', 'user sending: And then?');
    const next = await running.model.nextCall();
    expect(call.aborted).toBe(true);
    next.answer('The end.');
    await chat.shows(
      'user sent: Tell me',
      'assistant cancelled: one two ',
      'user sent: And then?',
      'assistant completed: The end.',
    );
  });

  it('[WEB-1] reloaded, and closed and reopened, in the middle of an answer', async () => {
    const running = await gateway();
    const { context, chat, call } = await answering(running);
    await chat.page.reload();
    await chat.shows('user sent: Tell me', 'assistant streaming: one ');
    call.text('two ');
    await chat.shows('user sent: Tell me', 'assistant streaming: one two ');
    await chat.page.close();
    await unattended(running);
    call.text('three ');
    const reopened = await open(context, running.url);
    call.text('four').finish();
    await reopened.shows('user sent: Tell me', 'assistant completed: one two three four');
    await reopened.page.reload();
    await reopened.shows('user sent: Tell me', 'assistant completed: one two three four');
    expect(running.model.calls).toHaveLength(1);
  });

  it('[WEB-1] an answer that ended while the page was closed is there when it returns', async () => {
    const running = await gateway();
    const { context, chat, call } = await answering(running);
    await chat.page.close();
    await unattended(running);
    call.text('two').finish();
    const reopened = await open(context, running.url);
    await reopened.shows('user sent: Tell me', 'assistant completed: one two');
  });

  it.each(['the request', 'its answer'])(
    '[WEB-1] [MSG-2] a message is sent again when %s was lost, and runs once',
    async (what) => {
      const running = await gateway();
      const chat = await blank(await visitor());
      let cut: (() => void) | undefined;
      await chat.page.routeWebSocket(/socket\.io/, (route) => {
        const server = route.connectToServer();
        let broken = false;
        route.onMessage((message) => {
          if (!cut && String(message).includes('"message:send"')) {
            broken = true;
            cut = () => void Promise.all([route.close(), server.close()]);
          }
          if (!broken || what === 'its answer') server.send(message);
        });
        server.onMessage((message) => {
          if (!broken) route.send(message);
        });
      });
      await chat.go(running.url);
      await chat.say('Tell me');
      await chat.shows('user sending: Tell me');
      await until(() => cut !== undefined, 'the message');
      if (what === 'its answer') await until(() => running.model.calls.length === 1, 'the turn');
      cut?.();
      (await running.model.nextCall()).answer('Once.');
      await chat.shows('user sent: Tell me', 'assistant completed: Once.');
      expect(running.model.calls).toHaveLength(1);
    },
  );

  it('[EVT-9] a gap in what it receives makes it come back for what it missed', async () => {
    const running = await gateway();
    const chat = await blank(await visitor());
    let lost = 0;
    await chat.page.routeWebSocket(/socket\.io/, (route) => {
      const server = route.connectToServer();
      server.onMessage((message) => {
        if (lost === 0 && String(message).includes('"delta":"two ')) lost += 1;
        else route.send(message);
      });
    });
    await chat.go(running.url);
    await chat.say('Tell me');
    const call = (await running.model.nextCall()).begin().text('one ');
    await chat.shows('user sent: Tell me', 'assistant streaming: one ');
    call.text('two ');
    await until(() => lost === 1, 'a packet to be lost');
    call.text('three').finish();
    await chat.shows('user sent: Tell me', 'assistant completed: one two three');
    expect(chat.console).toEqual([]);
  });

  it('[WEB-1] across a restart of the server it comes back by itself', async () => {
    const DATA_DIR = await temporaryDirectory();
    const first = await gateway({ STORE: 'sqlite', DATA_DIR });
    const { chat } = await answering(first);
    await chat.say('And then?');
    await chat.at('queue').waitFor();
    await first.stop();
    await chat.away();
    const second = await gateway({ STORE: 'sqlite', DATA_DIR, PORT: new URL(first.url).port });
    const call = await second.model.nextCall();
    expect(call.asked).toBe('And then?');
    call.answer('The end.');
    await chat.shows(
      'user sent: Tell me',
      'assistant interrupted: one ',
      'user sent: And then?',
      'assistant completed: The end.',
    );
    await chat.connected();
    await chat.say('Still there?');
    (await second.model.nextCall()).answer('Yes.');
    await chat.at('message').nth(5).getByText('Yes.').waitFor();
  });

  it('[WEB-1] [STO-2] so it does after kill -9, and what it showed stays', async () => {
    const vendor = await startOpenAiServer();
    onDispose(() => vendor.stop());
    const env = { DATA_DIR: await temporaryDirectory(), OPENAI_BASE_URL: vendor.url, MODEL: 'a-model' };
    const first = await gatewayProcess(env);
    onDispose(() => first.kill('SIGKILL'));
    const chat = await open(await visitor(), first.url);
    await chat.say('Tell me');
    (await vendor.nextCall()).text('one ');
    await chat.shows('user sent: Tell me', 'assistant streaming: one ');
    await chat.say('And then?');
    await chat.at('queue').waitFor();
    await first.kill('SIGKILL');
    await chat.away();
    const second = await gatewayProcess({ ...env, PORT: new URL(first.url).port });
    onDispose(() => second.kill('SIGKILL'));
    const call = await vendor.nextCall();
    expect(call.asked).toBe('And then?');
    call.text('The end.').finish();
    await chat.shows(
      'user sent: Tell me',
      'assistant interrupted: one ',
      'user sent: And then?',
      'assistant completed: The end.',
    );
  });

  it('[WEB-2] two tabs show the same, whoever speaks, stops or leaves', async () => {
    const running = await gateway();
    const { context, chat, call } = await answering(running);
    const tab = await open(context, running.url);
    await tab.shows('user sent: Tell me', 'assistant streaming: one ');
    call.text('two ');
    for (const each of [chat, tab]) await each.shows('user sent: Tell me', 'assistant streaming: one two ');
    await tab.say('From the other tab');
    await chat.at('queue').waitFor();
    await chat.at('stop').click();
    (await running.model.nextCall()).answer('To both.');
    const rows = [
      'user sent: Tell me',
      'assistant cancelled: one two ',
      'user sent: From the other tab',
      'assistant completed: To both.',
    ];
    for (const each of [chat, tab]) await each.shows(...rows);
    await chat.page.close();
    await tab.say('Alone');
    (await running.model.nextCall()).answer('To one.');
    await tab.shows(...rows, 'user sent: Alone', 'assistant completed: To one.');
  });

  it('[WEB-2] in an undisturbed conversation the browser finds nothing to remark on', async () => {
    const running = await gateway();
    const { chat, call } = await answering(running);
    call.finish();
    await chat.shows('user sent: Tell me', 'assistant completed: one ');
    await chat.page.reload();
    await chat.shows('user sent: Tell me', 'assistant completed: one ');
    expect(chat.console).toEqual([]);
  });
});
