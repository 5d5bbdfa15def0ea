import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { OpenAiModelProvider } from '../src/agents/openai/openai-model.provider.js';
import { callModel, type CallLimits } from '../src/agents/model.call.js';
import type { ModelPart, ModelRequest, PromptMessage } from '../src/agents/model.provider.js';
import { Channel } from '../src/testing/channel.js';
import { startAimock, type Aimock, type AimockFixture } from './support/aimock.js';
import { assertValidOpenAiMessages } from './support/prompt.validity.js';

const API_KEY = 'sk-very-secret';
const LIMITS: CallLimits = { firstByteTimeoutMs: 5_000, idleTimeoutMs: 5_000, retryDelaysMs: [1, 1] };
const PERSONA: PromptMessage = { role: 'system', content: 'You are Alice.' };
const TOOL = {
  name: 'current_time',
  description: 'The time.',
  inputSchema: { type: 'object', properties: { timezone: { type: 'string' } } },
};
/** A flush clock that never lets anybody wait. */
const AT_ONCE = { beforeFlush: (read: () => void) => void setImmediate(read) };
const ANSWER = 'Grüße aus dem Hafen: 錨 ⚓ and a longer tail.';

const FIXTURES: AimockFixture[] = [
  {
    match: { userMessage: 'hello' },
    response: { content: ANSWER, usage: { prompt_tokens: 11, completion_tokens: 7 } },
    chunkSize: 5,
    latency: 5,
  },
  {
    match: { userMessage: 'uncounted' },
    response: { content: 'x', usage: { prompt_tokens: 0, completion_tokens: 0 } },
  },
  { match: { userMessage: 'think' }, response: { content: 'Done.', reasoning: 'Let me think.' } },
  { match: { userMessage: 'long' }, response: { content: 'It never', finishReason: 'length' } },
  {
    match: { userMessage: 'time', hasToolResult: false },
    response: {
      content: 'Let me look.',
      toolCalls: [{ name: 'current_time', id: 'call_a', arguments: { timezone: 'UTC' } }],
    },
  },
  { match: { userMessage: 'time', hasToolResult: true }, response: { content: 'It is noon.' } },
  {
    match: { userMessage: 'broken call' },
    response: { toolCalls: [{ name: 'current_time', id: 'call_b', arguments: '{broken' }] },
  },
  {
    match: { userMessage: 'limited', sequenceIndex: 0 },
    response: { error: { message: 'Slow down.', type: 'rate_limit_error' }, status: 429, retryAfter: 0 },
  },
  { match: { userMessage: 'limited', sequenceIndex: 1 }, response: { content: 'Now it works.' } },
  {
    match: { userMessage: 'patience' },
    response: { error: { message: 'Slow down.' }, status: 429, retryAfter: 31 },
  },
  { match: { userMessage: 'overloaded' }, response: { error: { message: 'Overloaded.' }, status: 503 } },
  { match: { userMessage: 'forbidden' }, response: { error: { message: `bad ${API_KEY}` }, status: 401 } },
  {
    match: { userMessage: 'too much' },
    response: { error: { message: 'Too long.', code: 'context_length_exceeded' }, status: 400 },
  },
  {
    match: { userMessage: 'indecent' },
    response: { error: { message: 'Filtered.', code: 'content_filter' }, status: 400 },
  },
  { match: { userMessage: 'strange' }, response: { error: { message: `What is ${API_KEY}?` }, status: 422 } },
  {
    match: { userMessage: 'truncate' },
    response: { content: ANSWER },
    chunkSize: 5,
    latency: 10,
    truncateAfterChunks: 4,
  },
  {
    match: { userMessage: 'disconnect' },
    response: { content: ANSWER },
    chunkSize: 2,
    latency: 20,
    disconnectAfterMs: 150,
  },
];

describe('the OpenAI-compatible provider, against aimock', () => {
  let aimock: Aimock;

  beforeAll(async () => {
    aimock = await startAimock(FIXTURES);
  });

  afterAll(() => aimock.stop());

  it('streams text and says the usage', async () => {
    const { parts, error } = await ask(aimock.url, 'hello');
    expect(error).toBeUndefined();
    expect(parts[0]).toEqual({ type: 'begin' });
    expect(parts.filter(({ type }) => type === 'text').length).toBeGreaterThan(1);
    expect(textOf(parts)).toBe(ANSWER);
    const usage = { inputTokens: 11, outputTokens: 7 };
    expect(parts.at(-1)).toEqual({ type: 'finish', reason: 'stop', usage });
  });

  it('asks for a stream with usage, with what the request holds', async () => {
    const request = { ...asking('hello there'), model: 'other-model', temperature: 0.2, tools: [TOOL] };
    await collect(aimock.url, request);
    const body = (await aimock.requests()).at(-1);
    expect(body).toMatchObject({
      model: 'other-model',
      temperature: 0.2,
      stream: true,
      stream_options: { include_usage: true },
      messages: [PERSONA, { role: 'user', content: 'hello there' }],
      tools: [{ type: 'function', function: { name: TOOL.name, parameters: TOOL.inputSchema } }],
    });
  });

  it('says no usage where the vendor counted nothing', async () => {
    const { parts } = await ask(aimock.url, 'uncounted');
    expect(parts.at(-1)).toEqual({ type: 'finish', reason: 'stop' });
  });

  it('streams reasoning', async () => {
    const { parts } = await ask(aimock.url, 'think');
    expect(textOf(parts, 'reasoning')).toBe('Let me think.');
    expect(textOf(parts)).toBe('Done.');
  });

  it('tells why the model stopped', async () => {
    const { parts } = await ask(aimock.url, 'long');
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'length' });
  });

  it('streams a tool call, and sends its result back in a valid prompt', async () => {
    const request = { ...asking('what time is it?'), tools: [TOOL] };
    const { parts } = await collect(aimock.url, request);
    const call = { toolCallId: 'call_a', toolName: 'current_time' };
    expect(parts).toContainEqual({ type: 'tool-input-start', ...call });
    expect(parts.at(-2)).toEqual({ type: 'tool-call', ...call, input: '{"timezone":"UTC"}' });
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'tool-calls' });

    request.prompt.push(
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'Let me look.' },
          { type: 'tool-call', ...call, input: { timezone: 'UTC' } },
          { type: 'tool-call', toolCallId: 'call_2', toolName: 'current_time', input: {} },
          { type: 'tool-call', toolCallId: 'call_3', toolName: 'current_time', input: {} },
        ],
      },
      {
        role: 'tool',
        content: [
          { ...call, output: { hour: 12 }, isError: false },
          { toolCallId: 'call_2', toolName: 'current_time', output: 'no such zone', isError: true },
          { toolCallId: 'call_3', toolName: 'current_time', output: '', isError: false },
        ],
      },
    );
    expect(textOf((await collect(aimock.url, request)).parts)).toBe('It is noon.');
    const messages = (await aimock.requests()).at(-1)?.messages;
    assertValidOpenAiMessages(messages);
    expect(messages?.slice(-3).map(({ content }) => content)).toEqual(['{"hour":12}', 'no such zone', '""']);
  });

  it('hands on the input of a call as text, valid JSON or not', async () => {
    const { parts, error } = await ask(aimock.url, 'broken call');
    expect(error).toBeUndefined();
    expect(parts.at(-2)).toMatchObject({ type: 'tool-call', input: '{broken' });
  });

  it('repeats a 429 after Retry-After', async () => {
    const { parts, error } = await ask(aimock.url, 'limited');
    expect(error).toBeUndefined();
    expect(textOf(parts)).toBe('Now it works.');
    expect(parts.filter(({ type }) => type === 'begin')).toHaveLength(1);
    expect(await asked('limited')).toBe(2);
  });

  it('does not repeat a 429 that asks for more than 30 s', async () => {
    const { error } = await ask(aimock.url, 'patience');
    expect(error).toMatchObject({ code: 'provider_rate_limited', options: { retryable: true } });
    expect(await asked('patience')).toBe(1);
  });

  it('repeats a 503 twice', async () => {
    const { error } = await ask(aimock.url, 'overloaded');
    expect(error).toMatchObject({ code: 'provider_error', options: { retryable: true } });
    expect(await asked('overloaded')).toBe(3);
  });

  it.each([
    ['forbidden', 'provider_unauthorized'],
    ['too much', 'context_overflow'],
    ['indecent', 'content_filter'],
    ['strange', 'provider_error'],
  ])('does not repeat what cannot help (%s: %s), and tells no key', async (message, code) => {
    const { parts, error } = await ask(aimock.url, message);
    expect(parts).toEqual([]);
    expect(error).toMatchObject({ code });
    expect(error?.options.retryable ?? false).toBe(false);
    expect(error?.message).not.toContain(API_KEY);
    expect(await asked(message)).toBe(1);
  });

  it('says that a path is wrong', async () => {
    const { error } = await ask(`${aimock.url}/nowhere`, 'hello');
    expect(error).toMatchObject({ code: 'provider_error', message: expect.stringContaining('404') });
  });

  it.each(['truncate', 'disconnect'])(
    'keeps what came before a cut, which is an error (%s)',
    async (message) => {
      const { parts, error } = await ask(aimock.url, message);
      const text = textOf(parts);
      expect(ANSWER.startsWith(text) && text !== '' && text !== ANSWER).toBe(true);
      expect(error).toMatchObject({ code: 'provider_error', options: { retryable: true } });
      expect(await asked(message)).toBe(1);
    },
  );

  async function asked(message: string): Promise<number> {
    const requests = await aimock.requests();
    return requests.filter(({ messages }) => messages.at(-1)?.content === message).length;
  }
});

describe('the OpenAI-compatible provider, against a vendor that misbehaves', () => {
  const servers: Server[] = [];

  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('gives no half of a character when the connection is reset inside one', async () => {
    const bytes = Buffer.from(`${chunk({ content: 'Hafen ' })}${chunk({ content: 'am ⚓' })}`);
    const vendor = await serve((_request, response) => {
      // Once the bytes are on their way, or the reset would overtake them.
      response.write(bytes.subarray(0, bytes.indexOf('⚓') + 1), () => {
        setTimeout(() => response.socket?.resetAndDestroy(), 50);
      });
    });
    const { parts, error } = await ask(vendor.url, 'hello');
    expect(textOf(parts)).toBe('Hafen ');
    expect(error).toMatchObject({ code: 'provider_error', options: { retryable: true } });
    expect(vendor.requests).toHaveLength(1);
  });

  it('repeats when the connection is cut before any content', async () => {
    const vendor = await serve((_request, response, attempt) => {
      if (attempt === 1) response.socket?.destroy();
      else if (attempt === 2) response.flushHeaders();
      else response.end(`${chunk({ content: 'ok' })}${finish('stop')}`);
      if (attempt === 2) setTimeout(() => response.socket?.destroy(), 50);
    });
    const { parts, error } = await ask(vendor.url, 'hello');
    expect(error).toBeUndefined();
    expect(parts.map(({ type }) => type)).toEqual(['begin', 'text', 'finish']);
    expect(vendor.requests).toHaveLength(3);
  });

  it('repeats when nobody listens', async () => {
    const vendor = await serve(() => undefined);
    await new Promise((resolve) => servers.pop()?.close(resolve));
    const { error } = await ask(vendor.url, 'hello');
    expect(error).toMatchObject({ code: 'provider_error', message: expect.stringContaining('ECONNREFUSED') });
    expect(error?.message).not.toContain('127.0.0.1');
  });

  it('fails at a chunk that cannot be read, once', async () => {
    const vendor = await serve((_request, response) => {
      response.end(
        `${chunk({ content: 'one ' })}data: {oops\n\n${chunk({ content: 'two' })}${finish('stop')}`,
      );
    });
    const { parts, error } = await ask(vendor.url, 'hello');
    expect(textOf(parts)).toBe('one ');
    expect(error).toMatchObject({
      code: 'provider_error',
      message: expect.stringContaining('cannot be read'),
    });
    expect(vendor.requests).toHaveLength(1);
  });

  it.each([
    ['nothing', ''],
    ['text', chunk({ content: 'half' })],
    ['an empty finish reason', chunk({ content: 'half' }, '')],
    [
      'half a tool call',
      chunk({ tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '{"a"' } }] }),
    ],
    ['no event stream', '<html>Welcome</html>'],
  ])('says that an answer ended before its finish (%s)', async (_what, body) => {
    const vendor = await serve((_request, response) => void response.end(body));
    const { parts, error } = await ask(vendor.url, 'hello');
    expect(error).toMatchObject({
      code: 'provider_error',
      message: expect.stringContaining('before its finish'),
    });
    expect(parts.some(({ type }) => type === 'tool-call' || type === 'finish')).toBe(false);
    expect(vendor.requests).toHaveLength(1);
  });

  it('times out when only headers come, and drops the request', async () => {
    const closed = gate();
    const vendor = await serve((_request, response) => {
      response.flushHeaders();
      response.once('close', closed.open);
    });
    const { parts, error } = await collect(vendor.url, asking('hello'), { firstByteTimeoutMs: 200 });
    expect(parts).toEqual([{ type: 'begin' }]);
    expect(error).toMatchObject({ code: 'provider_timeout', options: { retryable: true } });
    await closed.opened;
    expect(vendor.requests).toHaveLength(1);
  });

  it('times out when it falls silent amid the answer, and drops the request', async () => {
    const closed = gate();
    const vendor = await serve((_request, response) => {
      response.write(chunk({ content: 'half' }));
      response.once('close', closed.open);
    });
    const { parts, error } = await collect(vendor.url, asking('hello'), { idleTimeoutMs: 200 });
    expect(textOf(parts)).toBe('half');
    expect(error).toMatchObject({ code: 'provider_timeout' });
    await closed.opened;
  });

  it.each(['before headers', 'amid the answer'])('drops the request when it is aborted %s', async (when) => {
    const arrived = gate();
    const closed = gate();
    const vendor = await serve((_request, response) => {
      response.once('close', closed.open);
      if (when !== 'before headers') response.write(chunk({ content: 'half' }));
      arrived.open();
    });
    const controller = new AbortController();
    const stop = new Error('stop');
    const done = collect(vendor.url, asking('hello'), {}, controller.signal);
    await arrived.opened;
    controller.abort(stop);
    expect((await done).error).toBe(stop);
    await closed.opened;
    expect(vendor.requests).toHaveLength(1);
  });

  it.each([
    [{ message: 'Oops.', type: 'server_error' }, 'provider_error', 1],
    [{ message: 'Slow down.', code: 429 }, 'provider_rate_limited', 3],
    [{ message: 'Too long.', code: 'context_length_exceeded' }, 'context_overflow', 1],
  ])('reads an error within the stream: %j', async (problem, code, attempts) => {
    const vendor = await serve((_request, response) => {
      response.end(`data: ${JSON.stringify({ error: problem })}\n\n`);
    });
    const { error } = await ask(vendor.url, 'hello');
    expect(error).toMatchObject({ code, message: expect.stringContaining(problem.message) });
    expect(vendor.requests).toHaveLength(attempts);
  });

  it.each<[Record<string, string>, number]>([
    [{ 'retry-after-ms': '5', 'retry-after': '60' }, 3],
    [{ 'retry-after': '60' }, 1],
    [{ 'retry-after': new Date(Date.now() + 90_000).toUTCString() }, 1],
    [{ 'retry-after': new Date(Date.now() - 90_000).toUTCString() }, 3],
    [{ 'retry-after': 'soon' }, 3],
  ])('heeds %j', async (headers, attempts) => {
    const vendor = await serve((_request, response) => void response.writeHead(503, headers).end());
    expect((await ask(vendor.url, 'hello')).error).toMatchObject({ code: 'provider_error' });
    expect(vendor.requests).toHaveLength(attempts);
  });

  it('sends the key, and never tells it, even if the vendor does', async () => {
    const vendor = await serve((request, response) => {
      const said = `${'x'.repeat(150)} ${request.headers.authorization} ${'x'.repeat(500)}`;
      response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ message: said }));
    });
    const { error } = await ask(vendor.url, 'hello');
    expect(vendor.requests[0]?.headers.authorization).toBe(`Bearer ${API_KEY}`);
    expect(error?.message).toContain('Bearer ***');
    expect(error?.message.length).toBeLessThan(300);
    expect(error?.cause).toBeUndefined();
    const described = new OpenAiModelProvider({ baseUrl: 'http://u:p@host/v1', model: 'm' }, AT_ONCE)
      .description;
    expect(described).toBe('m at http://host/v1');
  });

  it('reads what other vendors send: other error bodies, calls without ids, halves of a surrogate pair', async () => {
    const vendor = await serve((_request, response) => {
      const half = (text: string) => `data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`;
      response.write(`: comment\n\n${chunk({ role: 'assistant', content: '' })}`);
      response.write(half('a\\ud83d') + half('\\ude00b') + half('\\ud83d') + half('c\\u0000'));
      const call = { index: 0, function: { name: 'f', arguments: '' } };
      response.end(`${chunk({ tool_calls: [call] })}${finish('tool_calls')}data: [DONE]\n\n`);
    });
    const { parts, error } = await ask(vendor.url, 'hello');
    expect(error).toBeUndefined();
    expect(textOf(parts)).toBe('a😀b\uFFFDc\uFFFD');
    expect(parts.at(-2)).toMatchObject({
      type: 'tool-call',
      toolCallId: expect.stringMatching(/./),
      input: '',
    });
    expect(parts.at(-1)).toEqual({ type: 'finish', reason: 'tool-calls' });

    const ollama = await serve(
      (_request, response) => void response.writeHead(404).end('{"error":"no such model"}'),
    );
    expect((await ask(ollama.url, 'hello')).error?.message).toContain('no such model');
  });

  it('reads a model at its pace only when what it says would be sent', async () => {
    const written = new Channel<ServerResponse>();
    const { url } = await serve((_request, response) => written.push(response));
    const reads = new Channel<() => void>();
    const provider = new OpenAiModelProvider(
      { baseUrl: url, model: 'm' },
      { beforeFlush: (read) => reads.push(read) },
    );
    const parts: ModelPart[] = [];
    const said = (): string => textOf(parts);
    const answered = provider.stream(asking('hello'), new AbortController().signal, (part) =>
      parts.push(part),
    );
    const response = await written.next();
    response.write(chunk({ role: 'assistant', content: 'first' }));
    const release = await reads.next();
    expect(said()).toBe('first');
    for (const word of [' second', ' third']) {
      await new Promise((resolve) => response.write(chunk({ content: word }), resolve));
    }
    // A round trip by the same event loop: what is there to be read would have been read.
    await fetch(new URL('/else', url), { signal: AbortSignal.timeout(50) }).catch(() => undefined);
    expect(said()).toBe('first');
    release();
    const releaseAgain = await reads.next();
    expect(said()).toBe('first second third');
    response.end(`${finish('stop')}data: [DONE]\n\n`);
    releaseAgain();
    await answered;
    expect(parts.at(-1)).toEqual({ type: 'finish', reason: 'stop' });
  });

  async function serve(
    answer: (request: IncomingMessage, response: ServerResponse, attempt: number) => void,
  ): Promise<{ url: string; requests: IncomingMessage[] }> {
    const requests: IncomingMessage[] = [];
    const server = createServer((request, response) => {
      requests.push(request);
      response.setHeader('content-type', 'text/event-stream');
      request.resume().once('end', () => answer(request, response, requests.length));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, requests };
  }
});

function ask(baseUrl: string, message: string) {
  return collect(baseUrl, asking(message));
}

function asking(content: string): ModelRequest {
  return { prompt: [PERSONA, { role: 'user', content }], tools: [] };
}

/** What came, and what was thrown at its end, if anything. */
async function collect(
  baseUrl: string,
  request: ModelRequest,
  limits: Partial<CallLimits> = {},
  signal = new AbortController().signal,
): Promise<{ parts: ModelPart[]; error?: Error & { options: { retryable?: boolean } } }> {
  const provider = new OpenAiModelProvider({ baseUrl, apiKey: API_KEY, model: 'test-model' }, AT_ONCE);
  const parts: ModelPart[] = [];
  try {
    await callModel(provider, request, signal, { ...LIMITS, ...limits }, (part) => parts.push(part));
    return { parts };
  } catch (error) {
    return { parts, error: error as Error & { options: { retryable?: boolean } } };
  }
}

function textOf(parts: ModelPart[], type: 'text' | 'reasoning' = 'text'): string {
  return parts.map((part) => (part.type === type ? part.text : '')).join('');
}

function chunk(delta: Record<string, unknown>, finishReason: string | null = null): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finishReason }] })}\n\n`;
}

function finish(reason: string): string {
  return chunk({}, reason);
}

function gate(): { open: () => void; opened: Promise<void> } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}
