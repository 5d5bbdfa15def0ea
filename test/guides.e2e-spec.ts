import { readFileSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { UIMessage } from '../src/protocol.js';
import { until } from './support/channel.js';
import { newCredentials } from './support/client.js';
import { cutAll } from './support/cut.js';
import { disposeAll, gateway, onDispose, temporaryDirectory } from './support/gateway.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const GUIDE = readFileSync(join(ROOT, 'docs', 'guides', 'socket-io.md'), 'utf8');

interface Guide {
  converse(
    url: string,
    session: { sessionId: string; key: string },
    show: (messages: UIMessage[]) => void,
  ): { send(text: string): void; cancel(): void; close(): void };
}

describe('the guide to plain Socket.IO', () => {
  afterEach(disposeAll);

  async function load(): Promise<Guide> {
    const folder = await temporaryDirectory();
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const file = join(folder, 'converse.mjs');
    await writeFile(file, /```js\n([^]*?)```/.exec(GUIDE)?.[1] ?? '');
    return (await import(pathToFileURL(file).href)) as Guide;
  }

  it('[RES-2] its client, as it stands: cut amid answers, and a message sent while it was away', async () => {
    const { converse } = await load();
    const running = await gateway();
    let shown: string[] = [];
    const conversation = converse(running.url, newCredentials(), (messages) => {
      shown = messages.map(
        ({ role, parts }) => `${role}: ${parts.map((part) => ('text' in part ? part.text : '')).join('')}`,
      );
    });
    onDispose(async () => conversation.close());
    const shows = (...expected: string[]) =>
      until(
        () => JSON.stringify(shown) === JSON.stringify(expected),
        `it to show ${JSON.stringify(expected)}`,
      );
    conversation.send('Tell me');
    const call = (await running.model.nextCall()).begin().text('one ');
    await shows('user: Tell me', 'assistant: one ');
    await cutAll(running);
    call.text('two ');
    conversation.send('And then?');
    await shows('user: Tell me', 'assistant: one two ', 'user: And then?');
    conversation.cancel();
    (await running.model.nextCall()).answer('The end.');
    await shows('user: Tell me', 'assistant: one two ', 'user: And then?', 'assistant: The end.');
    expect(running.model.calls).toHaveLength(2);
  });
});
