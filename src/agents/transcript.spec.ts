import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { assertValidOpenAiMessages, assertValidPrompt } from '../../test/support/prompt.validity.js';
import { PLACEHOLDER_TEXT, type MessagePart, type ToolPart, type UIMessage } from '../protocol.js';
import { ModelError, type PromptMessage } from './model.provider.js';
import { buildPrompt, EMPTY_USER_TEXT, estimatePromptTokens, estimateTokens, repair } from './transcript.js';

const PERSONA = 'You are Alice.';
const UNLIMITED = Number.MAX_SAFE_INTEGER;

const text = fc.oneof(fc.constantFrom('', ' ', '\n\t', 'hello', PLACEHOLDER_TEXT), fc.string());
const callId = fc.constantFrom('', 'a', 'b', 'a-2', 'call');
const states = fc.constantFrom<ToolPart['state']>(
  'input-streaming',
  'input-available',
  'output-available',
  'output-error',
);
const toolPart: fc.Arbitrary<ToolPart> = fc.record(
  {
    type: fc.constantFrom<ToolPart['type']>(
      'tool-',
      'tool-time',
      'tool-functions.time',
      `tool-${'x'.repeat(99)}`,
    ),
    toolCallId: callId,
    state: states,
    input: fc.jsonValue(),
    output: fc.jsonValue(),
    errorText: fc.string(),
  },
  { requiredKeys: ['type', 'toolCallId', 'state'] },
);
const part: fc.Arbitrary<MessagePart> = fc.oneof(
  fc.record({ type: fc.constant('text' as const), text }),
  fc.record({ type: fc.constant('reasoning' as const), text }),
  fc.constant<MessagePart>({ type: 'step-start' }),
  toolPart,
);
const message: fc.Arbitrary<UIMessage> = fc.record({
  id: fc.constantFrom('m1', 'm2', 'm3'),
  role: fc.constantFrom('user' as const, 'assistant' as const),
  parts: fc.array(part, { maxLength: 6 }),
});
const transcript = fc.array(message, { maxLength: 12 });

/** What repair is said to leave alone. */
const validTranscript: fc.Arbitrary<UIMessage[]> = fc
  .array(fc.array(toolPart, { maxLength: 3 }), { maxLength: 6 })
  .map((answers) => {
    let calls = 0;
    return answers.flatMap((tools, turn): UIMessage[] => [
      user(`question ${turn}`),
      {
        id: `answer-${turn}`,
        role: 'assistant',
        parts: [
          { type: 'step-start' },
          { type: 'text', text: 'Let me see.' },
          ...tools.map((tool): ToolPart => ({
            ...tool,
            toolCallId: `call-${(calls += 1)}`,
            state: tool.state === 'output-error' ? 'output-error' : 'output-available',
          })),
        ],
      },
    ]);
  });

describe('repair', () => {
  it('[CTX-4] gives a conversation that alternates, whatever it is given', () => {
    fc.assert(
      fc.property(transcript, (messages) => {
        const repaired = repair(messages);
        repaired.forEach(({ role }, i) => expect(role).toBe(i % 2 === 0 ? 'user' : 'assistant'));
        const answers = repaired.filter(({ role }) => role === 'assistant');
        const tools = answers.flatMap(({ parts }) => parts.filter(isTool));
        expect(new Set(tools.map(({ toolCallId }) => toolCallId)).size).toBe(tools.length);
        for (const { state } of tools) expect(state).toMatch(/^output-/);
      }),
    );
  });

  it('[CTX-4] is idempotent, keeps user messages, and leaves its input as it is', () => {
    fc.assert(
      fc.property(transcript, (messages) => {
        const before = structuredClone(messages);
        const repaired = repair(messages);
        expect(messages).toEqual(before);
        expect(repair(repaired)).toEqual(repaired);
        const users = ({ role }: UIMessage): boolean => role === 'user';
        expect(repaired.filter(users)).toEqual(messages.filter(users));
      }),
    );
  });

  it('[CTX-4] leaves a valid transcript unchanged', () => {
    fc.assert(
      fc.property(validTranscript, (messages) => {
        expect(repair(messages)).toEqual(messages);
        expect(repair(messages.slice(0, -1))).toEqual(messages.slice(0, -1));
      }),
    );
  });

  it('answers an unanswered user message with the placeholder, but not the last', () => {
    const messages = [user('one'), user('two')];
    const roles = repair(messages).map(({ role }) => role);
    expect(roles).toEqual(['user', 'assistant', 'user']);
    expect(repair(messages)[1]?.parts).toEqual([{ type: 'text', text: PLACEHOLDER_TEXT, state: 'done' }]);
  });

  it('puts the placeholder into an answer of reasoning and white space', () => {
    const [, answer] = repair([
      user('one'),
      assistant({ type: 'reasoning', text: 'hm' }, { type: 'text', text: ' \n' }),
    ]);
    expect(answer?.parts.at(-1)).toMatchObject({ text: PLACEHOLDER_TEXT });
  });

  it('drops leading answers and makes one of several in a row', () => {
    const parts = [said('a'), said('b'), said('c')] as const;
    const repaired = repair([assistant(said('x')), user('one'), ...parts.map((one) => assistant(one))]);
    const step = { type: 'step-start' };
    expect(repaired).toHaveLength(2);
    expect(repaired[1]?.parts).toEqual([parts[0], step, parts[1], step, parts[2]]);
  });

  it('ends an open call as an error, and tells calls of the same id apart', () => {
    const call: ToolPart = { type: 'tool-time', toolCallId: 'a', state: 'input-available', input: {} };
    const [, answer] = repair([
      user('one'),
      assistant(call, { ...call, state: 'output-available', output: 1 }),
    ]);
    expect(answer?.parts).toEqual([
      { ...call, state: 'output-error', errorText: 'interrupted' },
      { ...call, toolCallId: 'a-2', state: 'output-available', output: 1 },
    ]);
  });
});

describe('buildPrompt', () => {
  it('[CTX-1 CTX-4] is valid, whatever the transcript', () => {
    fc.assert(
      fc.property(transcript, (messages) => {
        const { prompt, estimatedTokens } = buildPrompt({
          persona: PERSONA,
          messages,
          budgetTokens: UNLIMITED,
        });
        assertValidPrompt(prompt);
        expect(estimatedTokens).toBe(estimatePromptTokens(prompt));
      }),
      { numRuns: 1000 },
    );
  });

  it('[CTX-3] respects the budget, never without the persona and the last turn, and leaves out no turn that fits', () => {
    const budgets = fc.integer({ min: 0, max: 200 });
    fc.assert(
      fc.property(transcript, budgets, fc.nat(10), (messages, budgetTokens, toolsTokens) => {
        const whole = buildPrompt({ persona: PERSONA, messages, budgetTokens: UNLIMITED }).prompt;
        const lastTurn = whole.slice(
          Math.max(
            1,
            whole.findLastIndex(({ role }) => role === 'user'),
          ),
        );
        const least = toolsTokens + estimatePromptTokens([whole[0] as PromptMessage, ...lastTurn]);
        const build = () => buildPrompt({ persona: PERSONA, messages, budgetTokens, toolsTokens });
        if (least > budgetTokens) {
          expect(build).toThrow(expect.objectContaining({ code: 'context_overflow' }));
          return;
        }
        const { prompt, estimatedTokens } = build();
        assertValidPrompt(prompt);
        expect(estimatedTokens).toBe(toolsTokens + estimatePromptTokens(prompt));
        expect(estimatedTokens).toBeLessThanOrEqual(budgetTokens);
        expect(prompt[0]).toEqual({ role: 'system', content: PERSONA });
        expect(prompt.slice(1)).toEqual(prompt.length === 1 ? [] : whole.slice(1 - prompt.length));
        expect(prompt.slice(1).slice(-lastTurn.length)).toEqual(lastTurn);
        const older = whole.slice(1, whole.length - prompt.length + 1);
        if (older.length > 0) {
          const next = older.slice(older.findLastIndex(({ role }) => role === 'user'));
          expect(estimatedTokens + estimatePromptTokens(next)).toBeGreaterThan(budgetTokens);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('gives each step its calls with their results right after, and leaves reasoning out', () => {
    const { prompt } = build([
      user('what time?'),
      assistant(
        { type: 'step-start' },
        { type: 'reasoning', text: 'hm' },
        said('Let me see.'),
        tool('a', { state: 'output-available', input: { timezone: 'UTC' }, output: '12:00' }),
        tool('b', { state: 'output-error', input: 'broken', errorText: 'no such zone' }),
        { type: 'step-start' },
        said('Noon.'),
      ),
      user('thanks'),
    ]);
    expect(prompt.slice(2)).toEqual([
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'Let me see.' },
          { type: 'tool-call', toolCallId: 'a', toolName: 'time', input: { timezone: 'UTC' } },
          { type: 'tool-call', toolCallId: 'b', toolName: 'time', input: {} },
        ],
      },
      {
        role: 'tool',
        content: [
          { toolCallId: 'a', toolName: 'time', output: '12:00', isError: false },
          { toolCallId: 'b', toolName: 'time', output: 'no such zone', isError: true },
        ],
      },
      { role: 'assistant', content: [{ type: 'text', text: 'Noon.' }] },
      { role: 'user', content: 'thanks' },
    ]);
  });

  it('ends in the results of an answer in progress, and closes one that was cut off there', () => {
    const cut = assistant({ type: 'step-start' }, tool('a', { state: 'output-available', output: 1 }));
    const roles = (messages: UIMessage[]) => build(messages).prompt.map(({ role }) => role);
    expect(roles([user('one'), cut])).toEqual(['system', 'user', 'assistant', 'tool']);
    expect(build([user('one'), cut, user('two')]).prompt.slice(-2)).toEqual([
      { role: 'assistant', content: [{ type: 'text', text: PLACEHOLDER_TEXT }] },
      { role: 'user', content: 'two' },
    ]);
  });

  it('sends no empty user message and no tool name that a vendor refuses', () => {
    const call = {
      ...tool('a', { state: 'output-available', output: null }),
      type: 'tool-functions.time',
    } as const;
    const { prompt } = build([user(' '), assistant(call)]);
    expect(prompt[1]).toEqual({ role: 'user', content: EMPTY_USER_TEXT });
    expect(prompt[2]).toMatchObject({ content: [{ toolName: 'functions_time' }] });
  });

  it('is just the persona without messages, and an overflow if not even that fits', () => {
    expect(build([]).prompt).toEqual([{ role: 'system', content: PERSONA }]);
    const tight = () => buildPrompt({ persona: PERSONA, messages: [], budgetTokens: 1 });
    expect(tight).toThrow(ModelError);
  });
});

describe('estimates', () => {
  it('count UTF-8 bytes by fours, rounded up', () => {
    expect(['', 'a', 'abcd', 'abcde', 'ä', '字字'].map(estimateTokens)).toEqual([0, 1, 1, 2, 1, 2]);
  });

  it('count the tools', () => {
    const prompt: PromptMessage[] = [{ role: 'system', content: PERSONA }];
    const tools = [{ name: 'time', description: 'The time.', inputSchema: { type: 'object' } }];
    const difference = estimatePromptTokens(prompt, tools) - estimatePromptTokens(prompt);
    expect(difference).toBe(estimateTokens(JSON.stringify(tools)));
  });
});

describe('the checker of prompts itself', () => {
  const system = { role: 'system', content: PERSONA } as const;
  const asked = { role: 'user', content: 'one' } as const;
  const answered: PromptMessage = { role: 'assistant', content: [{ type: 'text', text: 'two' }] };
  const call = { type: 'tool-call', toolCallId: 'a', toolName: 'time', input: {} } as const;
  const called: PromptMessage = { role: 'assistant', content: [call] };
  const result = { toolCallId: 'a', toolName: 'time', output: 1, isError: false };
  const results: PromptMessage = { role: 'tool', content: [result] };

  it.each<[string, PromptMessage[]]>([
    ['no persona', [asked]],
    ['nothing', []],
    ['a second system message', [system, asked, answered, system]],
    ['an answer first', [system, answered]],
    ['two questions', [system, asked, asked]],
    ['two answers', [system, asked, answered, answered]],
    ['an empty question', [system, { role: 'user', content: ' ' }]],
    ['an empty answer', [system, asked, { role: 'assistant', content: [] }]],
    ['a call without a result', [system, asked, called]],
    ['a call whose result is late', [system, asked, called, asked, results]],
    ['a result without a call', [system, asked, results]],
    ['two results', [system, asked, called, { role: 'tool', content: [result, result] }]],
    ['an id that comes twice', [system, asked, called, results, called, results]],
    ['results right before a question', [system, asked, called, results, asked]],
  ])('refuses %s', (_what, prompt) => {
    expect(() => assertValidPrompt(prompt)).toThrow();
  });

  it('reads the OpenAI format', () => {
    const toolCall = (id: string, args = '{}') => ({ id, function: { name: 'time', arguments: args } });
    const calls = (...list: unknown[]) => [
      system,
      asked,
      { role: 'assistant', content: null, tool_calls: list },
    ];
    const answers = (...ids: string[]) => ids.map((id) => ({ role: 'tool', tool_call_id: id, content: '1' }));
    assertValidOpenAiMessages([...calls(toolCall('a'), toolCall('b')), ...answers('b', 'a')]);
    const refused = [
      [...calls(toolCall('a'), toolCall('b')), ...answers('a')],
      [...calls(toolCall('a')), ...answers('a', 'a')],
      [...calls(toolCall('a', '"text"')), ...answers('a')],
      [system, asked, { role: 'assistant', content: 'two' }],
      'messages',
    ];
    for (const messages of refused) expect(() => assertValidOpenAiMessages(messages)).toThrow();
  });
});

function build(messages: UIMessage[]) {
  return buildPrompt({ persona: PERSONA, messages, budgetTokens: UNLIMITED });
}

function user(content: string): UIMessage {
  return { id: content, role: 'user', parts: [said(content)] };
}

function assistant(...parts: MessagePart[]): UIMessage {
  return { id: 'answer', role: 'assistant', parts };
}

function said(content: string): MessagePart {
  return { type: 'text', text: content };
}

function tool(toolCallId: string, values: Pick<ToolPart, 'state'> & Partial<ToolPart>): ToolPart {
  return { type: 'tool-time', toolCallId, ...values };
}

function isTool(one: MessagePart): one is ToolPart {
  return one.type.startsWith('tool-');
}
