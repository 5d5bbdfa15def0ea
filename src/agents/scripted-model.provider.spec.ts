import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { FinishReason } from '../protocol.js';
import type { ModelPart, ModelRequest, PromptMessage } from './model.provider.js';
import { ScriptedModelProvider } from './scripted-model.provider.js';
import { estimatePromptTokens, estimateTokens } from './transcript.js';

const PERSONA: PromptMessage = { role: 'system', content: 'You are Zoë, a pilot.' };

afterEach(() => {
  jest.useRealTimers();
});

describe('a usual answer of the scripted model', () => {
  it('[MOD-1] says what it is, whom it stands for, what was asked and how much it sees', async () => {
    const { text } = await ask('What is the\n time?', [user('one'), answered('yes')]);
    expect(text).toContain("Mooring's built-in scripted model, not an AI");
    expect(text).toContain('Zoë');
    expect(text).toContain('"What is the time?"');
    expect(text).toContain('one of 2 messages');
  });

  it('takes a few seconds to watch', async () => {
    const { text } = await ask('hello');
    const count = text.split(/\s+/).length;
    expect(count).toBeGreaterThanOrEqual(60);
    expect(count).toBeLessThanOrEqual(120);
  });

  it('is the same for the same request, comes word by word, and says its usage', async () => {
    const { parts, text } = await ask('hello');
    expect(await ask('hello')).toEqual({ parts, text });
    expect(parts[0]).toEqual({ type: 'begin' });
    expect(parts.filter(({ type }) => type === 'text').length).toBe(text.split(' ').length);
    const inputTokens = estimatePromptTokens([PERSONA, user('hello')]);
    const usage = { inputTokens, outputTokens: estimateTokens(text) };
    expect(parts.at(-1)).toEqual({ type: 'finish', reason: 'stop', usage });
  });

  it('does not take an article for a name, and cuts a long quotation between characters', async () => {
    const persona: PromptMessage = { role: 'system', content: 'You are a pilot.' };
    const { text } = await run({ prompt: [persona, user('😀'.repeat(300))], tools: [] });
    expect(text).toContain('I speak here');
    expect(text).toContain(`"${'😀'.repeat(200)}…"`);
  });

  it('comes at its pace, and stops at once when aborted', async () => {
    jest.useFakeTimers();
    const controller = new AbortController();
    const parts = new ScriptedModelProvider({ delayMs: 25 }).parts(
      { prompt: [PERSONA, user('/words 3')], tools: [] },
      controller.signal,
    );
    await parts.next();
    const first = parts.next();
    await jest.advanceTimersByTimeAsync(25);
    expect(await first).toEqual({ done: false, value: { type: 'text', text: 'word-1 ' } });
    const second = parts.next();
    controller.abort(new Error('stop'));
    await expect(second).rejects.toThrow('stop');
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe('a command to the scripted model', () => {
  it('/help tells every command', async () => {
    const { text } = await ask('/help');
    for (const command of [
      'echo',
      'words',
      'slow',
      'reason',
      'tool',
      'length',
      'empty',
      'break',
      'fail',
      'hang',
    ]) {
      expect(text).toContain(`\n/${command}`);
    }
  });

  it.each<[string, string, FinishReason]>([
    ['/echo  one\n  two /echo ', 'one\n  two /echo ', 'stop'],
    ['/words 3', 'word-1 word-2 word-3', 'stop'],
    ['/empty', '', 'stop'],
    ['/length', 'I stop in the middle of this', 'length'],
    ['/fail nonsense', expect.stringContaining('provider_timeout') as unknown as string, 'stop'],
    ['/tool', expect.stringContaining('/tool NAME JSON') as unknown as string, 'stop'],
    ['/unknown', expect.stringContaining('"/unknown"') as unknown as string, 'stop'],
  ])('%j says %j and finishes with %s', async (command, text, reason) => {
    const answer = await ask(command);
    expect(answer.text).toEqual(text);
    expect(answer.parts.at(-1)).toMatchObject({ type: 'finish', reason });
  });

  it('/words has a limit and a usual number', async () => {
    expect((await ask('/words 999999')).text).toMatch(/ word-10000$/);
    expect((await ask('/words many')).text).toMatch(/ word-100$/);
  });

  it('/slow sets the pace of what follows', async () => {
    jest.useFakeTimers();
    const answer = ask('/slow 400 /echo one two');
    await jest.advanceTimersByTimeAsync(799);
    expect(jest.getTimerCount()).toBe(1);
    await jest.advanceTimersByTimeAsync(1);
    expect((await answer).text).toBe('one two');
  });

  it('/reason thinks first', async () => {
    const { parts, text } = await ask('/reason /echo done');
    expect(parts[1]?.type).toBe('reasoning');
    expect(text).toBe('done');
  });

  it('prefixes are limited', async () => {
    expect((await ask('/reason /reason /reason /echo hi')).text).toContain('"/echo hi"');
  });

  it.each([
    ['', '{}'],
    [' {"timezone": "UTC"}', '{"timezone": "UTC"}'],
    [' {broken', '{broken'],
  ])('/tool time%s calls it with %s, then reports its result', async (written, input) => {
    const { parts } = await ask(`/tool time${written}`);
    const call = { toolCallId: 'call-1', toolName: 'time' };
    expect(parts.find(({ type }) => type === 'tool-input-start')).toMatchObject(call);
    const deltas = parts.map((part) => (part.type === 'tool-input-delta' ? part.text : ''));
    expect(deltas.join('')).toBe(input);
    expect(parts.at(-2)).toEqual({ type: 'tool-call', ...call, input });
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'tool-calls' });
  });

  it('/tool reports what the tools answered, and ids go on counting', async () => {
    const calls: PromptMessage[] = [
      { role: 'assistant', content: [] },
      {
        role: 'tool',
        content: [
          { toolCallId: 'call-1', toolName: 'time', output: { hour: 12 }, isError: false },
          { toolCallId: 'call-2', toolName: 'time', output: 'no such zone', isError: true },
        ],
      },
    ];
    const prompt = [PERSONA, user('/tool time'), ...calls];
    const { text, parts } = await run({ prompt, tools: [] });
    expect(text).toBe('The tool time answered: {"hour":12}\nThe tool time failed: no such zone');
    expect(parts.at(-1)).toMatchObject({ reason: 'stop' });
    const again = await run({ prompt: [...prompt, answered(text), user('/tool time')], tools: [] });
    expect(again.parts.at(-2)).toMatchObject({ toolCallId: 'call-3' });
  });

  it.each([
    ['/fail', 'provider_error', true],
    ['/fail provider_unauthorized', 'provider_unauthorized', false],
  ])('%s fails before anything else', async (command, code, retryable) => {
    const { parts, error } = await tried(command);
    expect(parts).toEqual([]);
    expect(error).toMatchObject({ code, options: { retryable } });
  });

  it('/break fails after some words', async () => {
    const { parts, error } = await tried('/break');
    expect(parts.filter(({ type }) => type === 'text')).toHaveLength(8);
    expect(error).toMatchObject({ code: 'provider_error' });
  });

  it('/hang says nothing until it is aborted', async () => {
    const controller = new AbortController();
    const parts = new ScriptedModelProvider({ delayMs: 0 }).parts(
      { prompt: [PERSONA, user('/hang')], tools: [] },
      controller.signal,
    );
    const first = parts.next();
    controller.abort(new Error('stop'));
    await expect(first).rejects.toThrow('stop');
  });
});

describe('a script', () => {
  it('replaces the answer, part by part', async () => {
    const script = (request: ModelRequest): ModelPart[] => [
      { type: 'text', text: `${request.prompt.length} messages` },
      { type: 'finish', reason: 'other' },
    ];
    const provider = new ScriptedModelProvider({ delayMs: 0, script });
    const parts = await collect(provider.parts({ prompt: [PERSONA, user('/hang')], tools: [] }, live()));
    expect(parts).toEqual([
      { type: 'text', text: '2 messages' },
      { type: 'finish', reason: 'other' },
    ]);
  });
});

function ask(message: string, before: PromptMessage[] = []) {
  return run({ prompt: [PERSONA, ...before, user(message)], tools: [] });
}

async function run(request: ModelRequest) {
  const parts = await collect(new ScriptedModelProvider({ delayMs: 0 }).parts(request, live()));
  return { parts, text: parts.map((part) => (part.type === 'text' ? part.text : '')).join('') };
}

async function tried(message: string) {
  const parts: ModelPart[] = [];
  const stream = new ScriptedModelProvider({ delayMs: 0 }).parts(
    { prompt: [PERSONA, user(message)], tools: [] },
    live(),
  );
  try {
    for await (const part of stream) parts.push(part);
  } catch (error) {
    return { parts, error };
  }
  return { parts, error: undefined };
}

async function collect(stream: AsyncIterable<ModelPart>): Promise<ModelPart[]> {
  const parts: ModelPart[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

function live(): AbortSignal {
  return new AbortController().signal;
}

function user(content: string): PromptMessage {
  return { role: 'user', content };
}

function answered(text: string): PromptMessage {
  return { role: 'assistant', content: [{ type: 'text', text }] };
}
