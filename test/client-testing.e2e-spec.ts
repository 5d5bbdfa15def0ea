import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { awaitTurn } from '../client/src/await.turn.js';
import { MooringClient } from '../client/src/client.js';
import type { MooringSession } from '../client/src/session.js';
import { ModelError, startGateway, type TestGateway, type TestGatewayOptions } from '../src/testing/index.js';
import { until } from './support/channel.js';
import { disposeAll, onDispose, temporaryDirectory } from './support/gateway.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const GUIDE = readFileSync(join(ROOT, 'docs', 'guides', 'testing.md'), 'utf8');

async function started(
  options?: TestGatewayOptions,
): Promise<{ gateway: TestGateway; client: MooringClient; session: MooringSession }> {
  const gateway = await startGateway(options);
  onDispose(gateway.close);
  const client = new MooringClient(gateway.url);
  onDispose(async () => client.close());
  return { gateway, client, session: client.session() };
}

describe('what testers have', () => {
  afterEach(disposeAll);

  it('[CLI-14] the example of the guide runs as it stands, by jest, in a project of its own', async () => {
    const folder = await temporaryDirectory();
    const modules = join(folder, 'node_modules');
    await mkdir(modules);
    // Copied, as jest looks for what it imports from where it really is.
    for (const file of ['package.json', 'dist'])
      await cp(join(ROOT, 'client', file), join(modules, 'mooring-client', file), { recursive: true });
    await symlink(ROOT, join(modules, 'mooring'));
    for (const name of ['@jest', 'socket.io-client'])
      await symlink(join(ROOT, 'node_modules', name), join(modules, name));
    const example = /```js\n([^]*?)```/.exec(GUIDE)?.[1] ?? '';
    expect(example.split('\n').length).toBeLessThanOrEqual(28);
    await writeFile(join(folder, 'reconnect.test.mjs'), example);
    await writeFile(join(folder, 'package.json'), '{}');
    const jest = join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
    const child = spawn(process.execPath, [jest, '--rootDir', folder, '--no-cache'], {
      cwd: folder,
      // As the guide says, and nothing else of whoever runs this.
      env: { PATH: process.env['PATH'], NODE_OPTIONS: '--experimental-vm-modules' },
    });
    onDispose(() => Promise.resolve(child.kill()));
    let output = '';
    child.stdout.on('data', (piece: Buffer) => (output += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (output += piece.toString()));
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(output).toContain('1 passed, 1 total');
    expect(code).toBe(0);
  });

  it('[CLI-14] connections that are dropped come back, and the answer goes on', async () => {
    const { gateway, client, session } = await started();
    const { turnId } = await session.send('Tell me');
    const call = (await gateway.model.nextCall()).begin();
    let text = '';
    for (const word of ['one ', 'two ', 'three ']) {
      await gateway.dropConnection();
      await until(() => client.connection === 'connected', 'the connection');
      call.text(word);
      text += word;
      await until(() => JSON.stringify(session.state.messages).includes(word), word);
    }
    call.finish();
    expect(await awaitTurn(session, turnId)).toMatchObject({ turnId, status: 'completed', text });
    expect(gateway.model.calls).toHaveLength(1);
  });

  it('[CLI-14] a restart ends the running turn, and keeps the conversation at its address', async () => {
    const { gateway, session } = await started();
    const { turnId } = await session.send('Tell me');
    const call = (await gateway.model.nextCall()).begin().text('one ');
    await until(() => JSON.stringify(session.state.messages).includes('one '), 'the first word');
    let refused = false;
    await gateway.restartGateway(async () => {
      refused = await fetch(gateway.url).then(
        () => false,
        () => true,
      );
    });
    expect(refused).toBe(true);
    expect(call.aborted).toBe(true);
    expect(await awaitTurn(session, turnId)).toMatchObject({ status: 'interrupted', text: 'one ' });
    expect((await fetch(gateway.url)).status).toBe(200);
  });

  it('[CLI-14] the model fails as the test says', async () => {
    const fail = new ModelError('content_filter', 'No.');
    const { session } = await started({ answer: (call) => call.begin().fail(fail) });
    const { turnId } = await session.send('Tell me');
    expect(await awaitTurn(session, turnId)).toMatchObject({
      status: 'failed',
      error: { code: 'content_filter' },
    });
  });

  it('[CLI-14] a turn that does not end says how the session stood', async () => {
    const { gateway, session } = await started();
    const { turnId } = await session.send('Tell me');
    (await gateway.model.nextCall()).begin().text('one ');
    await until(() => JSON.stringify(session.state.messages).includes('one '), 'the first word');
    await expect(awaitTurn(session, turnId, 1)).rejects.toThrow(
      `turn ${turnId} did not end in time: it is running; the session is connected and shows last: [`,
    );
    await expect(awaitTurn(session, 'another', 1)).rejects.toThrow('it is not known to the session');
    const left = awaitTurn(session, turnId);
    session.leave();
    await expect(left).rejects.toMatchObject({ code: 'closed' });
  });

  it('[CLI-14] a session that cannot be opened says why', async () => {
    const { client } = await started();
    const session = client.session({ agent: 'nobody', name: 'other' });
    await expect(awaitTurn(session, 'any')).rejects.toMatchObject({ code: 'agent_not_found' });
  });

  it('[CLI-14] takes variables of the configuration, and names what is wrong with them', async () => {
    await expect(startGateway({ env: { STORE: 'paper' } })).rejects.toThrow('STORE');
  });
});
