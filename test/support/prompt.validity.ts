import type { PromptMessage } from '../../src/agents/model.provider.js';

/** What any prompt comes to, whatever its format. */
type Entry =
  | { role: 'system'; text: string }
  | { role: 'user'; text: string }
  | { role: 'assistant'; text: string; calls: { id: string; name: string }[] }
  | { role: 'tool'; resultIds: string[] };

/**
 * Checks that the persona is first and the only system message, that the user is first after it, that roles
 * alternate (only a tool's results stand between two messages of the assistant, and none right before the
 * user), that each tool call has exactly one result in the message right after it and each result its call,
 * that ids are unique, and that nothing is empty.
 * @throws Error that says what is wrong, and at which index
 */
export function assertValidPrompt(prompt: readonly PromptMessage[]): void {
  assertValidEntries(prompt.map(entryOf));
}

/**
 * The same for the `messages` of an OpenAI chat completion request, in which each result is a message; and
 * the last must be something to answer, and the arguments of each call the JSON of an object.
 * @throws Error
 */
export function assertValidOpenAiMessages(messages: unknown): void {
  if (!Array.isArray(messages)) throw new Error('messages is no array');
  const entries = groupResults(messages.map(openAiEntryOf));
  assertValidEntries(entries);
  const last = entries.at(-1)?.role;
  if (last !== 'user' && last !== 'tool') throw new Error(`ends with a message of the ${last}`);
}

function assertValidEntries(entries: Entry[]): void {
  const ids = new Set<string>();
  entries.forEach((entry, index) => {
    const before = entries[index - 1];
    const check = (holds: boolean, rule: string): void => {
      if (!holds) throw new Error(`message ${index} (${entry.role}): ${rule}`);
    };
    switch (entry.role) {
      case 'system':
        check(index === 0, 'only the first message is the persona');
        check(entry.text.trim() !== '', 'is empty');
        break;
      case 'user':
        check(before !== undefined, 'the persona is missing');
        check(before?.role === 'system' || before?.role === 'assistant', `comes right after ${before?.role}`);
        check(entry.text.trim() !== '', 'is empty');
        break;
      case 'assistant': {
        check(before?.role === 'user' || before?.role === 'tool', `comes right after ${before?.role}`);
        check(entry.text.trim() !== '' || entry.calls.length > 0, 'is empty');
        for (const { id, name } of entry.calls) {
          check(id !== '' && !ids.has(id), `the call id '${id}' is empty or comes twice`);
          check(/^[A-Za-z0-9_-]{1,64}$/.test(name), `the tool name '${name}' is invalid`);
          ids.add(id);
        }
        check(entry.calls.length === 0 || entries[index + 1]?.role === 'tool', 'its calls have no results');
        break;
      }
      case 'tool': {
        check(before?.role === 'assistant' && before.calls.length > 0, 'has results without calls');
        const called = before?.role === 'assistant' ? before.calls.map(({ id }) => id) : [];
        const same = JSON.stringify(called.toSorted()) === JSON.stringify(entry.resultIds.toSorted());
        check(same, 'results and calls differ');
        break;
      }
    }
  });
  if (entries[0]?.role !== 'system') throw new Error('the persona is not first');
}

function entryOf(message: PromptMessage): Entry {
  switch (message.role) {
    case 'system':
    case 'user':
      return { role: message.role, text: message.content };
    case 'assistant': {
      const texts = message.content.flatMap((part) => (part.type === 'text' ? [part.text] : []));
      if (texts.some((text) => text.trim() === '')) throw new Error('an assistant has an empty text');
      const calls = message.content.flatMap((part) =>
        part.type === 'tool-call' ? [{ id: part.toolCallId, name: part.toolName }] : [],
      );
      return { role: 'assistant', text: texts.join(''), calls };
    }
    case 'tool':
      if (message.content.some(({ output }) => output === undefined))
        throw new Error('a result is undefined');
      return { role: 'tool', resultIds: message.content.map(({ toolCallId }) => toolCallId) };
  }
}

interface OpenAiMessage {
  role?: unknown;
  content?: unknown;
  tool_call_id?: unknown;
  tool_calls?: { id: string; function: { name: string; arguments: string } }[];
}

function openAiEntryOf(value: unknown): Entry {
  const message = value as OpenAiMessage;
  switch (message.role) {
    case 'system':
    case 'user':
      return { role: message.role, text: openAiText(message.content) };
    case 'assistant': {
      const calls = (message.tool_calls ?? []).map((call) => {
        const input: unknown = JSON.parse(call.function.arguments);
        const isObject = typeof input === 'object' && input !== null && !Array.isArray(input);
        if (!isObject) throw new Error(`the arguments of the call '${call.id}' are no object`);
        return { id: call.id, name: call.function.name };
      });
      return { role: 'assistant', text: openAiText(message.content), calls };
    }
    case 'tool':
      if (openAiText(message.content) === '') throw new Error('a result is empty');
      return { role: 'tool', resultIds: [String(message.tool_call_id)] };
    default:
      throw new Error(`unknown role ${String(message.role)}`);
  }
}

function openAiText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return (content as { text?: string }[]).map(({ text }) => text ?? '').join('');
}

/** In the OpenAI format the results of one step are messages in a row. */
function groupResults(entries: Entry[]): Entry[] {
  const grouped: Entry[] = [];
  for (const entry of entries) {
    const last = grouped.at(-1);
    if (entry.role === 'tool' && last?.role === 'tool') last.resultIds.push(...entry.resultIds);
    else grouped.push(entry);
  }
  return grouped;
}
