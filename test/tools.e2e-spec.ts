import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { UIMessageChunk } from '../src/protocol.js';
import type { TestClient } from './support/client.js';
import { disposeAll, gateway, temporaryDirectory } from './support/gateway.js';
import { assertValidPrompt } from './support/prompt.validity.js';

function chunks(client: TestClient): UIMessageChunk[] {
  return client.events.flatMap((event) => (event.type === 'chunk' ? [event.chunk] : []));
}

describe('the tool loop', () => {
  afterEach(disposeAll);

  it('[TOOL-1 TOOL-4] calls a tool, gives its result to the model, and goes on until the model is done', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ agent: 'alice' });
    await socket.send(sessionId, 'What time is it in Oslo?');
    const first = await model.nextCall();
    expect(first.request.tools.map(({ name }) => name)).toContain('current_time');
    first
      .begin()
      .text('Let me look. ')
      .part({ type: 'tool-input-start', toolCallId: 'c1', toolName: 'current_time' })
      .part({ type: 'tool-input-delta', toolCallId: 'c1', text: '{"timezone":"Europe/Oslo"}' })
      .part({
        type: 'tool-call',
        toolCallId: 'c1',
        toolName: 'current_time',
        input: '{"timezone":"Europe/Oslo"}',
      })
      .finish('tool-calls');
    const second = await model.nextCall();
    assertValidPrompt(second.request.prompt);
    expect(second.request.prompt.slice(-2)).toMatchObject([
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'Let me look. ' },
          { type: 'tool-call', toolCallId: 'c1', input: { timezone: 'Europe/Oslo' } },
        ],
      },
      { role: 'tool', content: [{ toolCallId: 'c1', isError: false, output: { timezone: 'Europe/Oslo' } }] },
    ]);
    second.answer('It is late.');
    const ended = await socket.turn('completed');
    expect(ended.usage).toEqual({ inputTokens: 20, outputTokens: 10, estimated: false });
    expect(chunks(socket).map(({ type }) => type)).toEqual([
      'start',
      'start-step',
      'text-start',
      'text-delta',
      'text-end',
      'tool-input-start',
      'tool-input-delta',
      'tool-input-available',
      'tool-output-available',
      'finish-step',
      'start-step',
      'text-start',
      'text-delta',
      'text-end',
      'finish-step',
      'message-metadata',
      'finish',
    ]);
    await socket.send(sessionId, 'Thanks');
    const third = await model.nextCall();
    assertValidPrompt(third.request.prompt);
    third.answer('Welcome');
    await socket.turn('completed');
  });

  it.each([
    ['an unknown tool', 'no_such_tool', '{}', 'tool-output-error'],
    ['a tool that the agent may not call', 'hidden', '{}', 'tool-output-error'],
    ['an input that is no JSON', 'current_time', '{"timezone":', 'tool-input-error'],
    ['an input that does not fit', 'current_time', '{"timezone":7}', 'tool-output-error'],
    ['a tool that throws', 'current_time', '{"timezone":"Nowhere/Land"}', 'tool-output-error'],
  ])('[TOOL-2] %s: the model is told, and goes on', async (_name, toolName, input, chunk) => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ agent: 'alice' });
    await socket.send(sessionId, 'Try it');
    (await model.nextCall())
      .begin()
      .part({ type: 'tool-call', toolCallId: 'c1', toolName, input })
      .finish('tool-calls');
    const second = await model.nextCall();
    assertValidPrompt(second.request.prompt);
    expect(second.request.prompt.at(-1)).toMatchObject({
      role: 'tool',
      content: [{ toolCallId: 'c1', isError: true }],
    });
    second.answer('I could not.');
    await socket.turn('completed');
    expect(chunks(socket).map(({ type }) => type)).toContain(chunk);
  });

  it('[TOOL-3] a cut between the call and its result leaves the call with one result, an error', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ agent: 'alice' });
    const { turnId } = await socket.send(sessionId, 'Try it');
    const call = await model.nextCall();
    call
      .begin()
      .part({ type: 'tool-input-start', toolCallId: 'c1', toolName: 'current_time' })
      .part({ type: 'tool-input-delta', toolCallId: 'c1', text: '{"time' });
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'tool-input-delta');
    await socket.do('turn:cancel', { sessionId });
    await socket.turn('cancelled', turnId);
    await socket.send(sessionId, 'And now?');
    const next = await model.nextCall();
    assertValidPrompt(next.request.prompt);
    next.answer('Fine');
    await socket.turn('completed');
  });

  it('[TOOL-6] the calls of a step run side by side; those of an answer that stopped by length are not run', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ agent: 'alice' });
    const call = (toolCallId: string) => ({
      type: 'tool-call' as const,
      toolCallId,
      toolName: 'current_time',
      input: '{}',
    });
    await socket.send(sessionId, 'Two at once');
    (await model.nextCall()).begin().part(call('a')).part(call('b')).finish('tool-calls');
    const second = await model.nextCall();
    expect(second.request.prompt.at(-1)).toMatchObject({
      content: [{ toolCallId: 'a' }, { toolCallId: 'b' }],
    });
    second.begin().part(call('c')).finish('length');
    expect(await socket.turn('completed')).toMatchObject({ finishReason: 'length' });
    expect(model.calls).toHaveLength(2);
    const outputs = chunks(socket).filter(({ type }) => type === 'tool-output-available');
    expect(outputs).toHaveLength(2);
    expect(chunks(socket).find(({ type }) => type === 'tool-output-error')).toMatchObject({
      toolCallId: 'c',
    });
  });

  it('[TOOL-1] past its steps a turn fails with tool_limit, its text kept', async () => {
    const { client, model } = await gateway({ MAX_STEPS: '2' });
    model.autoAnswer = (call) =>
      call
        .begin()
        .text('again ')
        .part({
          type: 'tool-call',
          toolCallId: `c${model.calls.length}`,
          toolName: 'current_time',
          input: '',
        })
        .finish('tool-calls');
    const socket = await client();
    const { sessionId } = await socket.open({ agent: 'alice' });
    await socket.send(sessionId, 'Loop');
    expect(await socket.turn('failed')).toMatchObject({ error: { code: 'tool_limit' } });
    expect(model.calls).toHaveLength(2);
    const { messages } = await socket.do('session:history', { sessionId });
    expect(messages[1]?.metadata?.status).toBe('failed');
  });
});

describe('agents', () => {
  afterEach(disposeAll);

  it('[AGT-3] a session keeps the version that it was pinned to; new sessions take up the changed file', async () => {
    const directory = await temporaryDirectory();
    const write = (persona: string): Promise<void> =>
      writeFile(join(directory, 'bob.md'), `---\nname: Bob\ndescription: A test agent\n---\n${persona}\n`);
    await write('You are Bob the first.');
    const { client, model } = await gateway({ AGENTS_DIR: directory, DEFAULT_AGENT: 'bob' });
    const socket = await client();
    const old = await socket.open();
    await write('You are Bob the second.');
    for (;;) {
      const { sessionId } = await (await client()).open();
      void sessionId;
      const fresh = await client();
      const opened = await fresh.open();
      await fresh.send(opened.sessionId, 'Who are you?');
      const call = await model.nextCall();
      call.answer('Bob');
      await fresh.turn('completed');
      if (JSON.stringify(call.request.prompt[0]).includes('second')) break;
    }
    await socket.send(old.sessionId, 'Who are you?');
    const call = await model.nextCall();
    expect(call.request.prompt[0]).toEqual({ role: 'system', content: 'You are Bob the first.' });
    call.answer('Bob');
    await socket.turn('completed');
  });

  it('[AGT-2 AGT-4] a switched agent answers the turns that start later, waiting ones included', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'one');
    const first = await model.nextCall();
    await socket.send(sessionId, 'two');
    expect(await socket.do('agent:switch', { sessionId, agent: 'Debbie' })).toEqual({ agent: 'debbie' });
    first.answer('1');
    const second = await model.nextCall();
    expect(second.request.prompt[0]).toMatchObject({ content: expect.stringContaining('You are Debbie') });
    second.answer('2');
    await socket.until(
      (event) => event.type === 'turn' && event.state === 'completed' && event.agent === 'debbie',
    );
    expect(socket.events.find(({ type }) => type === 'agent')).toMatchObject({
      agent: 'debbie',
      previous: 'alice',
    });
    const { messages } = await socket.do('session:history', { sessionId });
    expect(messages.map(({ metadata }) => metadata?.agent)).toEqual([
      undefined,
      'alice',
      undefined,
      'debbie',
    ]);
    expect(await socket.refused('agent:switch', { sessionId, agent: 'nobody' })).toBe('agent_not_found');
    expect(await socket.refused('session:open', { agent: 'nobody' })).toBe('agent_not_found');
  });
});
