import { Chat } from '@ai-sdk/react';
import { afterEach, describe, expect, it } from '@jest/globals';
import { readUIMessageStream, type UIMessage } from 'ai';
import { MooringChatTransport } from '../client/src/ai.js';
import {
  MemoryStorage,
  MooringClient,
  MooringError,
  type ClientOptions,
  type MooringSession,
} from '../client/src/index.js';
import { ModelError } from '../src/agents/model.provider.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { until } from './support/channel.js';
import { statusesOf, textsOf } from './support/chat.js';
import { cutAll } from './support/cut.js';
import { disposeAll, gateway, onDispose, temporaryDirectory } from './support/gateway.js';
import { gatewayProcess } from './support/gateway.process.js';
import { startOpenAiServer } from './support/openai.server.js';

const QUICK: ClientOptions = { socket: { reconnectionDelay: 10, forceNew: true } };

function connect(url: string, options: ClientOptions = {}): MooringClient {
  const client = new MooringClient(url, { ...QUICK, ...options });
  onDispose(async () => client.close());
  return client;
}

/** The AI SDK's own chat, as `useChat` has it, with every status that it went through. */
function chatOn(session: MooringSession, messages: UIMessage[] = []) {
  const errors: Error[] = [];
  const chat = new Chat<UIMessage>({
    id: 'a-chat',
    messages,
    transport: new MooringChatTransport(session),
    onError: (error) => errors.push(error),
  });
  const statuses = statusesOf(chat);
  return { chat, statuses, errors };
}

/** The stored conversation; what `useChat` shows lacks the metadata of what it sent itself. */
async function storedOf(session: MooringSession): Promise<unknown[]> {
  return withoutSentMetadata((await session.history(undefined, 100)).messages as UIMessage[]);
}

function withoutSentMetadata(messages: readonly UIMessage[]): unknown[] {
  const plain = JSON.parse(JSON.stringify(messages)) as UIMessage[];
  return plain.map((message) => (message.role === 'user' ? { ...message, metadata: undefined } : message));
}

describe('useChat on the client package', () => {
  afterEach(disposeAll);

  it('[CLI-12] one answer through ten cuts is one stream: no error state, no gap, no duplicate', async () => {
    const running = await gateway();
    const session = connect(running.url).session();
    const { chat, statuses, errors } = chatOn(session);
    const sent = chat.sendMessage({ text: 'Tell me' });
    const call = (await running.model.nextCall()).begin();
    let text = '';
    for (let cut = 0; cut < 10; cut += 1) {
      call.text(`before ${cut}, `);
      await session.opened();
      expect(await cutAll(running)).toBe(1);
      call.text(`after ${cut}. `);
      text += `before ${cut}, after ${cut}. `;
      await until(() => textsOf(chat).at(-1) === text, `cut ${cut} to be made good`);
    }
    call.finish();
    await sent;
    expect(errors).toEqual([]);
    expect([...new Set(statuses)]).toEqual(['submitted', 'streaming', 'ready']);
    expect(textsOf(chat)).toEqual(['Tell me', text]);
    expect(withoutSentMetadata(chat.messages)).toEqual(await storedOf(session));
  });

  it('[CLI-12] a reload amid an answer resumes it from its start', async () => {
    const { url, model } = await gateway();
    const storage = new MemoryStorage();
    const page = connect(url, { storage });
    const { chat: first } = chatOn(page.session());
    void first.sendMessage({ text: 'Tell me' });
    const call = (await model.nextCall()).begin().text('one ');
    await until(() => textsOf(first).at(-1) === 'one ', 'the begin');
    await first.stop();
    page.close();
    call.text('two ');
    const session = connect(url, { storage }).session();
    await session.opened();
    const { chat, statuses } = chatOn(session, session.state.messages.slice(0, 1) as UIMessage[]);
    const resumed = chat.resumeStream();
    await until(() => textsOf(chat).at(-1) === 'one two ', 'what was missed');
    call.text('three').finish();
    await resumed;
    expect(statuses.at(-1)).toBe('ready');
    expect(textsOf(chat)).toEqual(['Tell me', 'one two three']);
    expect(withoutSentMetadata(chat.messages)).toEqual(await storedOf(session));
    await chat.resumeStream();
    expect(chat.status).toBe('ready');
    expect(textsOf(chat)).toEqual(['Tell me', 'one two three']);
  });

  it('[CLI-12] stop is leaving: the turn goes on; cancelling the session cancels it', async () => {
    const { url, model } = await gateway();
    const session = connect(url).session();
    const { chat } = chatOn(session);
    void chat.sendMessage({ text: 'Tell me' });
    const call = (await model.nextCall()).begin().text('one ');
    await until(() => textsOf(chat).at(-1) === 'one ', 'the begin');
    await chat.stop();
    expect(chat.status).toBe('ready');
    expect(call.aborted).toBe(false);
    call.text('two ');
    const resumed = chat.resumeStream();
    await until(() => textsOf(chat).at(-1) === 'one two ', 'the rest');
    await session.cancel();
    await resumed;
    expect(call.aborted).toBe(true);
    expect(chat.status).toBe('ready');
    expect(chat.messages.at(-1)?.metadata).toMatchObject({ status: 'cancelled' });
    expect(withoutSentMetadata(chat.messages)).toEqual(await storedOf(session));
  });

  it('[CLI-12] edits and regenerates by turn:retry', async () => {
    const { url, model } = await gateway();
    model.autoAnswer = (call) => call.answer(`re: ${call.asked} (${model.calls.length})`);
    const session = connect(url).session();
    const { chat } = chatOn(session);
    await chat.sendMessage({ text: 'one' });
    await chat.sendMessage({ text: 'two' });
    await chat.regenerate();
    expect(textsOf(chat)).toEqual(['one', 're: one (1)', 'two', 're: two (3)']);
    expect(withoutSentMetadata(chat.messages)).toEqual(await storedOf(session));
    const [first, answer] = chat.messages as [UIMessage, UIMessage];
    await chat.regenerate({ messageId: answer.id });
    expect(textsOf(chat)).toEqual(['one', 're: one (4)']);
    await chat.sendMessage({ text: 'otherwise', messageId: first.id });
    expect(textsOf(chat)).toEqual(['otherwise', 're: otherwise (5)']);
    expect(withoutSentMetadata(chat.messages)).toEqual(await storedOf(session));
  });

  it('[CLI-12] shows a tool call, its input, output and error as they stream, and as they are stored', async () => {
    const { url, model } = await gateway();
    const session = connect(url).session();
    const { chat } = chatOn(session);
    const sent = chat.sendMessage({ text: 'What time is it?' });
    const first = (await model.nextCall()).begin().text('Let me look. ');
    const toolOf = () => chat.messages.at(-1)?.parts.find(({ type }) => type === 'tool-current_time');
    first.part({ type: 'tool-input-start', toolCallId: 'c1', toolName: 'current_time' });
    await until(() => toolOf() !== undefined, 'the call');
    expect(toolOf()).toMatchObject({ state: 'input-streaming' });
    const input = '{"timezone":"Nowhere"}';
    first.part({ type: 'tool-input-delta', toolCallId: 'c1', text: input.slice(0, 15) });
    await until(() => JSON.stringify(toolOf()).includes('"timezone"'), 'the input');
    first.part({ type: 'tool-input-delta', toolCallId: 'c1', text: input.slice(15) });
    first.part({ type: 'tool-call', toolCallId: 'c1', toolName: 'current_time', input }).finish('tool-calls');
    const second = await model.nextCall();
    await until(() => JSON.stringify(toolOf()).includes('output-'), 'the result');
    expect(toolOf()).toMatchObject({ state: 'output-error', input: { timezone: 'Nowhere' } });
    second.answer('I cannot tell.');
    await sent;
    expect(withoutSentMetadata(chat.messages)).toEqual(await storedOf(session));
  });

  it('[CLI-12] errors come with their codes: of a turn, and of a request', async () => {
    const { url, model } = await gateway();
    const session = connect(url).session();
    const { chat, errors } = chatOn(session);
    const sent = chat.sendMessage({ text: 'one' });
    const failing = (await model.nextCall()).begin().text('half');
    await until(() => textsOf(chat).at(-1) === 'half', 'the half');
    failing.fail(new ModelError('provider_rate_limited', 'Too many requests.'));
    await sent;
    expect(chat.status).toBe('error');
    expect(chat.error).toBeInstanceOf(MooringError);
    expect(chat.error).toMatchObject({ code: 'provider_rate_limited', message: 'Too many requests.' });
    expect(withoutSentMetadata(chat.messages)).toEqual(await storedOf(session));

    await chat.sendMessage({ text: 'x'.repeat(32_001) });
    expect(chat.error).toMatchObject({ code: 'payload_too_large' });
    await chat.sendMessage({ parts: [{ type: 'file', mediaType: 'image/png', url: 'data:,' }] });
    expect(chat.error).toMatchObject({ code: 'invalid_payload' });
    void session.send('two');
    await model.nextCall();
    await until(() => session.state.turns.length > 0, 'the other turn');
    await chat.regenerate();
    expect(chat.error).toMatchObject({ code: 'session_busy' });
    expect(errors).toHaveLength(4);
    expect(session.state.outbox.map(({ kind }) => kind)).toEqual(['message']);
  });

  it('[CLI-11] who is away until the log is trimmed still gets the rest of the answer', async () => {
    const { url, model, get } = await gateway({ RESUME_WINDOW: '20ms' });
    let comeBack: () => void = () => undefined;
    let held: Promise<void> = Promise.resolve();
    const client = connect(url, { token: () => held.then(() => '') });
    const session = client.session();
    const { chat, statuses } = chatOn(session);
    const sent = chat.sendMessage({ text: 'Tell me' });
    const call = (await model.nextCall()).begin().text('one ');
    await until(() => textsOf(chat).at(-1) === 'one ', 'the begin');
    held = new Promise((resolve) => (comeBack = resolve));
    client.dropConnection();
    call.text('two ').finish();
    const store = get(SessionStore);
    const sessionId = session.state.sessionId as string;
    const present = await store.read(sessionId);
    const position = { epoch: present?.position.epoch ?? '', seq: 1 };
    await until(
      async () => (await store.read(sessionId, position))?.recovered === false,
      'the window to pass',
    );
    let recovered: boolean | undefined;
    session.on('opened', (opened) => (recovered = opened.recovered));
    comeBack();
    await sent;
    expect(recovered).toBe(false);
    expect([...new Set(statuses)]).toEqual(['submitted', 'streaming', 'ready']);
    expect(textsOf(chat)).toEqual(['Tell me', 'one two ']);
    expect(withoutSentMetadata(chat.messages)).toEqual(await storedOf(session));
  });

  it('[CLI-11] kill -9 amid an answer: its stream ends as the answer was stored', async () => {
    const vendor = await startOpenAiServer();
    onDispose(() => vendor.stop());
    const env = {
      DATA_DIR: await temporaryDirectory(),
      OPENAI_BASE_URL: vendor.url,
      OPENAI_API_KEY: 'sk-secret',
      MODEL: 'some-model',
    };
    const first = await gatewayProcess(env);
    onDispose(() => first.kill('SIGKILL'));
    const session = connect(first.url).session();
    const { chat, statuses } = chatOn(session);
    const sent = chat.sendMessage({ text: 'Tell me' });
    (await vendor.nextCall()).text('half of it');
    await until(() => textsOf(chat).at(-1) === 'half of it', 'the half');
    await first.kill('SIGKILL');
    const second = await gatewayProcess({ ...env, PORT: new URL(first.url).port });
    onDispose(() => second.kill('SIGKILL'));
    await sent;
    expect([...new Set(statuses)]).toEqual(['submitted', 'streaming', 'ready']);
    expect(chat.messages.at(-1)?.metadata).toMatchObject({ status: 'interrupted' });
    expect(withoutSentMetadata(chat.messages)).toEqual(await storedOf(session));
  });

  it('[CLI-11] a stream of a turn that waits, that ended unrun, or that has ended, tells the stored answer', async () => {
    const { url, model } = await gateway();
    const session = connect(url).session();
    const { turnId: one } = await session.send('one');
    const { turnId: two } = await session.send('two');
    const streams = [session.stream(one), session.stream(two)];
    const call = await model.nextCall();
    await session.cancel(two);
    call.answer('answer one');
    await until(() => session.state.turns.length === 0, 'both to end');
    streams.push(session.stream(one), session.stream(two));
    const answers = session.state.messages.filter(({ role }) => role === 'assistant');
    for (const [index, stream] of streams.entries()) {
      let last: unknown;
      for await (const message of readUIMessageStream({ stream })) last = message;
      expect(JSON.parse(JSON.stringify(last))).toEqual(answers[index % 2]);
    }
  });

  it('[CLI-12] of a client it takes the session of the chat’s id', async () => {
    const { url, model } = await gateway();
    model.autoAnswer = (call) => call.answer('ok');
    const client = connect(url);
    const transport = new MooringChatTransport(client);
    const chat = new Chat<UIMessage>({ id: 'work', transport });
    await chat.sendMessage({ text: 'hello' });
    expect(textsOf({ messages: client.session({ name: 'work' }).state.messages as UIMessage[] })).toEqual([
      'hello',
      'ok',
    ]);
  });
});
