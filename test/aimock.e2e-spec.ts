import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { PLACEHOLDER_TEXT, type MessagePart, type SessionEvent, type UIMessage } from '../src/protocol.js';
import { startAimock, type Aimock, type AimockFixture, type AimockRequest } from './support/aimock.js';
import { newCredentials, textOf, type TestClient } from './support/client.js';
import { applyOpened, EMPTY_CONVERSATION, type ConversationView } from './support/conversation.js';
import { disposeAll, gateway } from './support/gateway.js';
import { assertValidOpenAiMessages } from './support/prompt.validity.js';

const ANSWER = 'Grüße aus dem Hafen: 錨 ⚓ and a longer tail, which takes a while to say.';
const ENDLESS = 'and so on '.repeat(500);
const USAGE = { prompt_tokens: 11, completion_tokens: 7 };

/** What aimock is asked is told by the user's last message; the persona tells the rest. */
const FIXTURES: AimockFixture[] = [
  {
    match: { userMessage: 'greet', systemMessage: 'You are Patricia' },
    response: { content: 'Patricia plans.' },
  },
  { match: { userMessage: 'greet' }, response: { content: ANSWER, usage: USAGE }, chunkSize: 5 },
  { match: { userMessage: 'slowly' }, response: { content: ANSWER }, chunkSize: 2, latency: 20 },
  { match: { userMessage: 'endlessly' }, response: { content: ENDLESS }, chunkSize: 2, latency: 20 },
  {
    match: { userMessage: 'think' },
    response: { content: 'Done.', reasoning: 'Let me think.' },
    chunkSize: 4,
  },
  { match: { userMessage: 'briefly' }, response: { content: 'It never', finishReason: 'length' } },
  {
    match: { userMessage: 'time', hasToolResult: false },
    response: {
      content: 'Let me look.',
      toolCalls: [
        { name: 'current_time', id: 'call_a', arguments: { timezone: 'Europe/Lisbon' } },
        { name: 'current_time', id: 'call_b', arguments: { timezone: 'Nowhere/Land' } },
      ],
    },
  },
  { match: { userMessage: 'time', hasToolResult: true }, response: { content: 'It is noon.' } },
  {
    match: { userMessage: 'limited', sequenceIndex: 0 },
    response: { error: { message: 'Slow down.', type: 'rate_limit_error' }, status: 429, retryAfter: 0 },
  },
  { match: { userMessage: 'limited', sequenceIndex: 1 }, response: { content: 'Now it works.' } },
  { match: { userMessage: 'overloaded' }, response: { error: { message: 'Overloaded.' }, status: 503 } },
  { match: { userMessage: 'forbidden' }, response: { error: { message: 'Who are you?' }, status: 401 } },
  {
    match: { userMessage: 'truncate' },
    response: { content: ENDLESS },
    chunkSize: 5,
    latency: 10,
    truncateAfterChunks: 4,
  },
  {
    match: { userMessage: 'disconnect' },
    response: { content: ENDLESS },
    chunkSize: 2,
    latency: 20,
    disconnectAfterMs: 500,
  },
];

const isDelta = (event: SessionEvent): boolean => event.type === 'chunk' && event.chunk.type === 'text-delta';

function textIn(message: UIMessage | undefined, type: 'text' | 'reasoning' = 'text'): string {
  return (message?.parts ?? [])
    .map((part) => (part.type === type ? (part as { text: string }).text : ''))
    .join('');
}

describe('a gateway whose vendor is aimock', () => {
  let aimock: Aimock;
  /** How many requests were made before this test. */
  let before = 0;

  beforeAll(async () => {
    aimock = await startAimock(FIXTURES);
  });
  afterAll(() => aimock.stop());
  afterEach(async () => {
    await disposeAll();
    const made = await requests();
    before += made.length;
    for (const { messages } of made) assertValidOpenAiMessages(messages);
  });

  async function requests(): Promise<AimockRequest[]> {
    return (await aimock.requests()).slice(before);
  }

  async function begun(agent?: string) {
    const running = await gateway({ OPENAI_BASE_URL: aimock.url, OPENAI_API_KEY: 'sk-x', MODEL: 'a-model' });
    const socket = await running.client();
    const credentials = newCredentials();
    const opened = await socket.open({ ...credentials, create: true, agent });
    const { sessionId } = credentials;
    const say = (text: string) => socket.send(sessionId, text);
    const stored = () => historyOf(socket, sessionId);
    return { ...running, socket, credentials, sessionId, opened, say, stored };
  }

  async function historyOf(socket: TestClient, sessionId: string): Promise<UIMessage[]> {
    return (await socket.do('session:history', { sessionId })).messages;
  }

  it('[MOD-1] [TURN-11] streams an answer and its usage, and the next prompt holds it', async () => {
    const { socket, say, stored } = await begun();
    await say('greet me');
    expect(await socket.turn('completed')).toMatchObject({
      finishReason: 'stop',
      usage: { inputTokens: 11, outputTokens: 7, estimated: false },
    });
    expect(textOf(socket.events)).toBe(ANSWER);
    expect(textIn((await stored())[1])).toBe(ANSWER);
    await say('greet me again');
    await socket.turn('completed');
    const [first, second] = await requests();
    expect(first).toMatchObject({ model: 'a-model', stream: true });
    expect(first?.messages).toMatchObject([{ role: 'system' }, { role: 'user', content: 'greet me' }]);
    expect(second?.messages.slice(0, 2)).toEqual(first?.messages);
    expect(second?.messages.slice(2)).toEqual([
      { role: 'assistant', content: ANSWER },
      { role: 'user', content: 'greet me again' },
    ]);
  });

  it('[AGT-4] answers as the agent that was chosen', async () => {
    const { socket, sessionId, say, stored } = await begun('patricia');
    await say('greet me');
    await socket.turn('completed');
    await socket.do('agent:switch', { sessionId, agent: 'debbie' });
    await say('greet me');
    await socket.turn('completed');
    const messages = await stored();
    expect(messages.map((message) => [message.metadata?.agent, textIn(message)])).toEqual([
      [undefined, 'greet me'],
      ['patricia', 'Patricia plans.'],
      [undefined, 'greet me'],
      ['debbie', ANSWER],
    ]);
  });

  it('[TOOL-1] [TOOL-2] [TOOL-4] [CTX-1] runs the tools that it calls and sends their results back', async () => {
    const { socket, say, stored } = await begun();
    await say('what time is it?');
    await socket.turn('completed');
    const [, answer] = await stored();
    const called = (toolCallId: string, timezone: string): object => ({
      type: 'tool-current_time',
      toolCallId,
      input: { timezone },
    });
    expect(answer?.parts).toMatchObject([
      { type: 'step-start' },
      { type: 'text', text: 'Let me look.' },
      { ...called('call_a', 'Europe/Lisbon'), state: 'output-available' },
      { ...called('call_b', 'Nowhere/Land'), state: 'output-error' },
      { type: 'step-start' },
      { type: 'text', text: 'It is noon.' },
    ]);
    const made = await requests();
    expect(made).toHaveLength(2);
    expect(made[0]?.['tools']).toMatchObject([{ type: 'function', function: { name: 'current_time' } }]);
    const outputs = new Map(made[1]?.messages.map(({ tool_call_id, content }) => [tool_call_id, content]));
    const { output } = answer?.parts[2] as Extract<MessagePart, { type: `tool-${string}` }>;
    expect(JSON.parse(String(outputs.get('call_a')))).toEqual(output);
    expect(outputs.get('call_b')).toContain('Nowhere/Land');
    // A finished round trip stays in the prompts that follow.
    await say('greet me');
    await socket.turn('completed');
    expect((await requests())[2]?.messages.map(({ role }) => role)).toEqual([
      'system',
      'user',
      'assistant',
      'tool',
      'tool',
      'assistant',
      'user',
    ]);
  });

  it('[MOD-1] keeps thoughts apart from words', async () => {
    const { socket, say, stored } = await begun();
    await say('think');
    await socket.turn('completed');
    const [, answer] = await stored();
    expect(answer?.parts.map(({ type }) => type)).toEqual(['step-start', 'reasoning', 'text']);
    expect([textIn(answer, 'reasoning'), textIn(answer)]).toEqual(['Let me think.', 'Done.']);
    await say('greet me');
    await socket.turn('completed');
    expect((await requests())[1]?.messages[2]).toMatchObject({ role: 'assistant', content: 'Done.' });
  });

  it('[TURN-12] says when the model reached its greatest length', async () => {
    const { socket, say } = await begun();
    await say('briefly');
    expect(await socket.turn('completed')).toMatchObject({ finishReason: 'length' });
  });

  it('[MOD-2] a 429 is repeated and not noticed by the user', async () => {
    const { socket, say } = await begun();
    await say('limited');
    await socket.turn('completed');
    expect(textOf(socket.events)).toBe('Now it works.');
    expect(await requests()).toHaveLength(2);
  });

  it.each([
    ['overloaded', 'provider_error', true, 3],
    ['forbidden', 'provider_unauthorized', false, 1],
  ])(
    '[MOD-2] [MOD-5] [EVT-4] %s: the turn fails as %s, and the next prompt is valid',
    async (text, code, retryable, attempts) => {
      const { socket, say, stored } = await begun();
      await say(text);
      const failed = await socket.turn('failed');
      expect(failed).toMatchObject({ error: { code, retryable } });
      expect(failed.usage).toBeUndefined();
      expect(textIn((await stored())[1])).toBe(PLACEHOLDER_TEXT);
      await say('greet me');
      await socket.turn('completed');
      expect(await requests()).toHaveLength(attempts + 1);
    },
  );

  it.each(['truncate', 'disconnect'])(
    '[MOD-4] [CTX-2] keeps what came before a cut, which is an error (%s), and it stands in the next prompt',
    async (text) => {
      const { socket, say, stored } = await begun();
      await say(text);
      const failed = await socket.turn('failed');
      expect(failed).toMatchObject({
        error: { code: 'provider_error', retryable: true },
        usage: { estimated: true },
      });
      const [, answer] = await stored();
      const kept = textIn(answer);
      expect(ENDLESS.startsWith(kept) && kept !== '' && kept !== ENDLESS).toBe(true);
      expect(textOf(socket.events)).toBe(kept);
      expect(answer?.metadata?.status).toBe('failed');
      await say('greet me');
      await socket.turn('completed');
      const made = await requests();
      expect(made).toHaveLength(2);
      expect(made[1]?.messages[2]).toEqual({ role: 'assistant', content: kept });
    },
  );

  it('[TURN-2] [CTX-2] a cancelled answer ends in the middle and stands in the next prompt', async () => {
    const { socket, sessionId, say, stored } = await begun();
    const { turnId } = await say('endlessly');
    await socket.until(isDelta);
    expect(await socket.do('turn:cancel', { sessionId, turnId })).toEqual({ turnId, cancelled: true });
    await socket.turn('cancelled', turnId);
    const kept = textIn((await stored())[1]);
    expect(ENDLESS.startsWith(kept) && kept !== '' && kept !== ENDLESS).toBe(true);
    await say('greet me');
    await socket.turn('completed');
    expect((await requests())[1]?.messages[2]).toEqual({ role: 'assistant', content: kept });
  });

  it('[MSG-5] a newer message interrupts, and is answered next', async () => {
    const { socket, sessionId, say, stored } = await begun();
    await say('endlessly');
    await socket.until(isDelta);
    await socket.send(sessionId, 'greet me', { whenBusy: 'interrupt' });
    await socket.turn('completed');
    const messages = await stored();
    expect(messages.map(({ metadata }) => metadata?.status)).toEqual([
      undefined,
      'interrupted',
      undefined,
      'completed',
    ]);
    expect(textIn(messages[3])).toBe(ANSWER);
  });

  it('[RES-2] a client that is cut after each piece holds the whole answer, once', async () => {
    const { client, socket, credentials, opened, say } = await begun();
    let view: ConversationView = applyOpened(EMPTY_CONVERSATION, opened);
    let { position } = opened;
    await say('slowly');
    socket.vanish();
    do {
      const again = await client();
      const missed = await again.open({ ...credentials, position });
      expect(missed.recovered).toBe(true);
      view = applyOpened(view, missed);
      ({ position } = missed);
      if (missed.turns.length > 0) {
        const packet = await again.packets.next();
        expect(packet.from).toBe(position.seq);
        view = applyOpened(view, { ...missed, events: packet.events });
        position = { epoch: packet.epoch, seq: packet.to };
      }
      again.vanish();
    } while (view.messages.length < 2 || view.turns.length > 0);
    const reader = await client();
    await reader.open(credentials);
    expect(view.messages).toEqual(await historyOf(reader, credentials.sessionId));
    expect(textIn(view.messages[1])).toBe(ANSWER);
    expect(await requests()).toHaveLength(1);
  });
});
