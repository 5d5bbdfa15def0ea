import { describe, expect, it, jest } from '@jest/globals';
import { Injectable, Scope, type Provider } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { z } from 'zod';
import { AgentTool, ToolRegistry, type AgentToolHandler, type ToolContext } from './tool.registry.js';

const input = z.object({ text: z.string().min(1), times: z.number().int().default(1) });

@Injectable()
@AgentTool({ name: 'echo', description: 'Says it again.', input })
class EchoTool implements AgentToolHandler<z.output<typeof input>> {
  readonly execute = jest.fn((given: z.output<typeof input>, _context: ToolContext): unknown =>
    given.text.repeat(given.times),
  );
}

@AgentTool({ name: 'anything', description: 'Does what a test wants.', input: z.object({}) })
class AnythingTool implements AgentToolHandler {
  execute: AgentToolHandler['execute'] = () => undefined;
}

async function registryOf(...providers: Provider[]): Promise<ToolRegistry> {
  const testing = Test.createTestingModule({
    imports: [DiscoveryModule],
    providers: [ToolRegistry, ...providers],
  });
  const module = await testing.compile();
  await module.init();
  return module.get(ToolRegistry);
}

function request(name: string, text: string, signal = new AbortController().signal) {
  const context = { sessionId: 's', turnId: 't', toolCallId: 'c', signal };
  return { name, input: text, allowed: ['echo', 'anything', 'absent'], context, timeoutMs: 5000 };
}

async function anything(execute: AgentToolHandler['execute']): Promise<ToolRegistry> {
  const tool = new AnythingTool();
  tool.execute = execute;
  return registryOf({ provide: AnythingTool, useValue: tool });
}

describe('ToolRegistry', () => {
  it('finds decorated providers, also by alias and factory, and describes them as JSON Schema', async () => {
    const registry = await registryOf(
      EchoTool,
      { provide: 'alias', useExisting: EchoTool },
      { provide: 'made', useFactory: () => new AnythingTool() },
    );
    expect(registry.names()).toEqual(['anything', 'echo']);
    expect(registry.has('echo')).toBe(true);
    expect(registry.has('toString')).toBe(false);
    expect(registry.specs(['echo', 'gone'])).toEqual([
      {
        name: 'echo',
        description: 'Says it again.',
        inputSchema: {
          type: 'object',
          properties: {
            text: { type: 'string', minLength: 1 },
            times: expect.objectContaining({ type: 'integer', default: 1 }),
          },
          required: ['text'],
        },
      },
    ]);
  });

  it('stops the start at two tools of one name, a bad name, and a tool that is no singleton', async () => {
    @AgentTool({ name: 'echo', description: 'Another.', input: z.object({}) })
    class Other extends AnythingTool {}
    @AgentTool({ name: 'two words', description: 'Unfit.', input: z.object({}) })
    class Unfit extends AnythingTool {}
    @Injectable({ scope: Scope.REQUEST })
    @AgentTool({ name: 'brief', description: 'Brief.', input: z.object({}) })
    class Brief extends AnythingTool {}
    await expect(registryOf(EchoTool, Other)).rejects.toThrow('Two tools have the name echo.');
    await expect(registryOf(Unfit)).rejects.toThrow('The tool name "two words" must match');
    await expect(registryOf(Brief)).rejects.toThrow('The tool brief must be a singleton provider.');
  });

  it('[TOOL-2] calls a tool once, with checked input and its context', async () => {
    const tool = new EchoTool();
    const registry = await registryOf({ provide: EchoTool, useValue: tool });
    const outcome = await registry.call(request('echo', '{"text":"hi","times":2,"more":true}'));
    expect(outcome).toEqual({ output: 'hihi' });
    expect(tool.execute).toHaveBeenCalledTimes(1);
    const [given, context] = tool.execute.mock.calls[0] ?? [];
    expect(given).toEqual({ text: 'hi', times: 2 });
    expect(context).toMatchObject({ sessionId: 's', turnId: 't', toolCallId: 'c' });
    expect(context?.signal.aborted).toBe(false);
  });

  it('takes blank input as {}', async () => {
    const registry = await anything((given) => given);
    expect(await registry.call(request('anything', ' \n'))).toEqual({ output: {} });
  });

  it('answers a tool that is unknown or not allowed', async () => {
    const registry = await registryOf(EchoTool);
    const call = request('echo', '{"text":"hi"}');
    expect(await registry.call({ ...call, allowed: [] })).toEqual({ error: 'There is no tool "echo".' });
    expect(await registry.call({ ...call, name: 'absent' })).toEqual({ error: 'There is no tool "absent".' });
  });

  it.each([
    ['{"text":', /^The input of echo is not valid JSON\.$/],
    ['{"text":"","times":1.5}', /^The input of echo is not accepted: text: .+; times: .+/],
    ['[]', /^The input of echo is not accepted: input: .+/],
  ])('answers bad input %s without calling', async (text, error) => {
    const tool = new EchoTool();
    const registry = await registryOf({ provide: EchoTool, useValue: tool });
    expect(await registry.call(request('echo', text))).toEqual({ error: expect.stringMatching(error) });
    expect(tool.execute).not.toHaveBeenCalled();
  });

  it.each([
    ['an error', () => Promise.reject(new TypeError('no such city')), 'no such city'],
    ['a string', () => AbortSignal.abort('no luck').throwIfAborted(), 'no luck'],
    ['a number', () => AbortSignal.abort(7).throwIfAborted(), 'The tool failed.'],
    ['at once', (): never => { throw new Error('bang'); }, 'bang'], // prettier-ignore
  ])('tells what a tool throws: %s', async (_name, execute, error) => {
    const spy = jest.fn(execute);
    const registry = await anything(spy);
    expect(await registry.call(request('anything', '{}'))).toEqual({ error });
    expect(spy).toHaveBeenCalledTimes(1);
  });

  it('keeps errors short', async () => {
    const registry = await anything(() => Promise.reject(new Error('x'.repeat(10_000))));
    expect(await registry.call(request('anything', '{}'))).toEqual({ error: 'x'.repeat(2000) });
  });

  const cycle: unknown[] = [];
  cycle.push(cycle);
  const nested = (levels: number): unknown =>
    Array.from({ length: levels }).reduce<unknown>((inner) => [inner], 1);
  it.each([
    ['nothing as null', undefined, { output: null }],
    ['a date as its text', new Date(0), { output: '1970-01-01T00:00:00.000Z' }],
    ['NUL and lone surrogates as U+FFFD', { 'a\0': ['b\ud800'] }, { output: { 'a\uFFFD': ['b\uFFFD'] } }],
    ['64 KiB', 'x'.repeat(65_534), { output: 'x'.repeat(65_534) }],
    [
      'more than 64 KiB',
      'ä'.repeat(32_768),
      { error: expect.stringMatching(/too large: 65538 bytes, over 65536/) },
    ],
    ['32 levels', nested(32), { output: nested(32) }],
    ['33 levels', nested(33), { error: expect.stringMatching(/deeper than 32/) }],
    ['a depth that exhausts the stack', nested(30_000), { error: expect.stringMatching(/not JSON|deeper/) }],
    ['a cycle', cycle, { error: 'The output of anything is not JSON.' }],
    ['a BigInt', 1n, { error: 'The output of anything is not JSON.' }],
    ['a function', () => 1, { error: 'The output of anything is not JSON.' }],
  ])('[TOOL-5] answers %s', async (_name, value, outcome) => {
    const registry = await anything(() => value);
    expect(await registry.call(request('anything', '{}'))).toEqual(outcome);
  });

  it('aborts a call that takes too long and ignores what comes later', async () => {
    let late: (value: string) => void = () => undefined;
    let signal: AbortSignal | undefined;
    const registry = await anything((_given, context) => {
      signal = context.signal;
      return new Promise((resolve) => (late = resolve));
    });
    const outcome = await registry.call({ ...request('anything', '{}'), timeoutMs: 5 });
    late('late');
    expect(outcome).toEqual({ error: 'anything took longer than 5 ms.' });
    expect(signal?.aborted).toBe(true);
  });

  it('ends with the turn, whatever the tool makes of its signal, and leaves no listener there', async () => {
    const turn = new AbortController();
    const called = Promise.withResolvers<void>();
    const registry = await anything(
      (_given, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('my own words')));
          called.resolve();
        }),
    );
    const remove = jest.spyOn(turn.signal, 'removeEventListener');
    const outcome = registry.call(request('anything', '{}', turn.signal));
    await called.promise;
    turn.abort();
    expect(await outcome).toEqual({ error: 'anything was cut short: the turn ended.' });
    expect(remove).toHaveBeenCalledTimes(1);
  });

  it('does not call a tool for a turn that has ended', async () => {
    const spy = jest.fn(() => 1);
    const registry = await anything(spy);
    const outcome = await registry.call(request('anything', '{}', AbortSignal.abort()));
    expect(outcome).toEqual({ error: 'anything was not called: the turn ended.' });
    expect(spy).not.toHaveBeenCalled();
  });
});
