import { spawn } from 'node:child_process';
import type { Server } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { HttpAgent, type BaseEvent, type Message } from '@ag-ui/client';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { HttpAdapterHost } from '@nestjs/core';
import { ModelError } from '../src/agents/model.provider.js';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { until } from './support/channel.js';
import { newCredentials } from './support/client.js';
import { disposeAll, gateway, onDispose, type TestGateway } from './support/gateway.js';

/** AG-UI's own client: it checks each event's schema and, by `verifyEvents`, their order. */
function agentOf({ url }: TestGateway, { sessionId, key }: { sessionId: string; key: string }) {
  const agent = new HttpAgent({
    url: `${url}/api/ag-ui`,
    threadId: sessionId,
    headers: { Authorization: `Bearer ${key}` },
  });
  const events: BaseEvent[] = [];
  agent.subscribe({ onEvent: ({ event }) => void events.push(event) });
  const ask = (id: string, content: string): void => agent.addMessage({ id, role: 'user', content });
  return { agent, events, ask, types: () => events.map(({ type }) => String(type)) };
}

function textsOf(messages: readonly Message[]): string[] {
  return messages.map(({ role, content }) => `${role}: ${JSON.stringify(content)}`);
}

describe('AG-UI', () => {
  // HttpAgent tells of errors there, beside throwing them.
  beforeEach(() => void jest.spyOn(console, 'error').mockImplementation(() => undefined));
  afterEach(() => void jest.restoreAllMocks());
  afterEach(disposeAll);

  it('[AGUI-1] a run is a turn: HttpAgent accepts its events and has the answer', async () => {
    const running = await gateway();
    const { agent, ask, types } = agentOf(running, newCredentials());
    ask('m1', 'Tell me');
    const run = agent.runAgent({ runId: 'run-1' });
    const call = (await running.model.nextCall()).begin();
    call.part({ type: 'reasoning', text: 'Hm.' }).text('one ');
    await until(() => textsOf(agent.messages).at(-1) === 'assistant: "one "', 'the begin');
    call.text('two').finish();
    await run;
    expect(types()).toEqual([
      'RUN_STARTED',
      'STEP_STARTED',
      'REASONING_START',
      'REASONING_MESSAGE_START',
      'REASONING_MESSAGE_CONTENT',
      'REASONING_MESSAGE_END',
      'REASONING_END',
      'TEXT_MESSAGE_START',
      expect.any(String),
      'TEXT_MESSAGE_CONTENT',
      'TEXT_MESSAGE_END',
      'STEP_FINISHED',
      'RUN_FINISHED',
    ]);
    expect(textsOf(agent.messages)).toEqual(['user: "Tell me"', 'reasoning: "Hm."', 'assistant: "one two"']);
    ask('m2', 'And then?');
    const next = agent.runAgent({ runId: 'run-2' });
    (await running.model.nextCall()).answer('The end.');
    await next;
    expect(textsOf(agent.messages).at(-1)).toBe('assistant: "The end."');
  });

  it('[AGUI-2] cut amid an answer, it is run again and told from its start, once', async () => {
    const running = await gateway();
    const { sessionId, key } = newCredentials();
    const script = fileURLToPath(new URL('pages/ag-ui.client.mjs', import.meta.url));
    const client = spawn(process.execPath, [script, `${running.url}/api/ag-ui`, sessionId, key]);
    onDispose(async () => client.kill());
    const lines: string[] = [];
    createInterface({ input: client.stdout }).on('line', (line) => lines.push(line));
    const says = (...expected: string[]) =>
      until(() => lines.at(-1) === JSON.stringify(expected), `the client to say ${JSON.stringify(expected)}`);
    const call = (await running.model.nextCall()).begin();
    let text = '';
    for (let cut = 0; cut < 3; cut += 1) {
      call.text(`before ${cut}, `);
      text += `before ${cut}, `;
      await says('user: Tell me', `assistant: ${text}`);
      (running.get(HttpAdapterHost).httpAdapter.getHttpServer() as Server).closeAllConnections();
      call.text(`after ${cut}. `);
      text += `after ${cut}. `;
      await says('user: Tell me', `assistant: ${text}`);
    }
    call.finish();
    await until(() => lines.at(-1) === 'done', 'the end');
    expect(lines.filter((line) => line === 'cut')).toHaveLength(3);
    expect(lines.at(-2)).toBe(JSON.stringify(['user: Tell me', `assistant: ${text}`]));
    expect(running.model.calls).toHaveLength(1);
  });

  it('[AGUI-2] aborting a run leaves it: the turn goes on', async () => {
    const running = await gateway();
    const credentials = newCredentials();
    const { agent, ask } = agentOf(running, credentials);
    ask('m1', 'Tell me');
    const run = agent.runAgent({ runId: 'run-1' }).catch(() => undefined);
    const call = (await running.model.nextCall()).begin().text('one ');
    await until(() => textsOf(agent.messages).at(-1) === 'assistant: "one "', 'the begin');
    agent.abortRun();
    await run;
    await until(() => !running.get(SessionBindings).isAttached(credentials.sessionId), 'it to be left');
    expect(call.aborted).toBe(false);
  });

  it('[AGUI-1] calls of tools with their arguments and results', async () => {
    const running = await gateway();
    const { agent, ask, types } = agentOf(running, newCredentials());
    ask('m1', 'What time is it?');
    const run = agent.runAgent({ runId: 'run-1' });
    const input = '{"timezone":"Europe/Oslo"}';
    (await running.model.nextCall())
      .begin()
      .part({ type: 'tool-input-start', toolCallId: 'c1', toolName: 'current_time' })
      .part({ type: 'tool-input-delta', toolCallId: 'c1', text: input })
      .part({ type: 'tool-call', toolCallId: 'c1', toolName: 'current_time', input })
      .part({
        type: 'tool-call',
        toolCallId: 'c2',
        toolName: 'current_time',
        input: '{"timezone":"Nowhere"}',
      })
      .finish('tool-calls');
    (await running.model.nextCall()).answer('It is late.');
    await run;
    expect(types().filter((type) => type.startsWith('TOOL_CALL'))).toEqual([
      'TOOL_CALL_START',
      'TOOL_CALL_ARGS',
      'TOOL_CALL_END',
      'TOOL_CALL_START',
      'TOOL_CALL_ARGS',
      'TOOL_CALL_END',
      'TOOL_CALL_RESULT',
      'TOOL_CALL_RESULT',
    ]);
    const calls = agent.messages.flatMap((message) =>
      'toolCalls' in message ? (message.toolCalls ?? []) : [],
    );
    expect(calls.map((call) => call.function.arguments)).toEqual([input, '{"timezone":"Nowhere"}']);
    const results = agent.messages.filter(({ role }) => role === 'tool').map(({ content }) => content);
    expect(results).toEqual([expect.stringContaining('Europe/Oslo'), expect.stringContaining('error')]);
    expect(textsOf(agent.messages).at(-1)).toBe('assistant: "It is late."');
  });

  it('[AGUI-3] a turn that fails is RUN_ERROR with its code; what is asked wrongly is an HTTP error', async () => {
    const running = await gateway();
    const { sessionId, key } = newCredentials();
    const { agent, ask, events } = agentOf(running, { sessionId, key });
    ask('m1', 'Tell me');
    const run = agent.runAgent({ runId: 'run-1' }).catch((error: unknown) => error);
    const call = (await running.model.nextCall()).begin().text('half');
    call.fail(new ModelError('provider_rate_limited', 'Too many requests.'));
    await run;
    expect(events.at(-1)).toMatchObject({ type: 'RUN_ERROR', code: 'provider_rate_limited' });
    const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` };
    const post = (body: unknown) =>
      fetch(`${running.url}/api/ag-ui`, { method: 'POST', headers, body: JSON.stringify(body) });
    const user = { id: 'm2', role: 'user', content: 'hi' };
    for (const [body, status] of [
      [{}, 400],
      [{ threadId: 'short', runId: 'r', messages: [user] }, 400],
      [{ threadId: sessionId, runId: 'r', messages: [] }, 400],
      [{ threadId: sessionId, runId: 'r', messages: [{ ...user, content: [{ type: 'image' }] }] }, 400],
      [{ threadId: sessionId, runId: 'r', messages: [{ ...user, content: 'x'.repeat(32_001) }] }, 413],
      [{ threadId: sessionId, runId: 'r', messages: [{ ...user, id: 'm1' }] }, 409],
      [
        {
          threadId: newCredentials().sessionId,
          runId: 'r',
          messages: [user],
          forwardedProps: { agent: 'nobody' },
        },
        404,
      ],
    ] as const) {
      const refused = await post(body);
      expect([refused.status, await refused.json()]).toMatchObject([
        status,
        { error: { code: expect.any(String) } },
      ]);
    }
    expect(running.model.calls).toHaveLength(1);
  });
});
