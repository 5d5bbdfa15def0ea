import { readFileSync } from 'node:fs';
import { assertValidOpenAiMessages } from '../../test/support/prompt.validity.ts';
import type { CallLedger } from '../ledgers.ts';
import { foreignMark } from '../words.ts';
import { textOf } from './fold.ts';
import type { View } from './view.ts';
import { firstDifference, type Violation } from './violation.ts';

interface PromptMessage {
  role: string;
  content?: unknown;
  tool_calls?: unknown;
}

const PERSONA = readFileSync(new URL('../../agents/alice.md', import.meta.url), 'utf8')
  .replace(/^---[^]*?\n---\n/, '')
  .trim();

/** I5: each prompt is a valid conversation, and the one that is stored. */
export function checkPrompts(view: View): Violation[] {
  return view.evidence.calls.flatMap((call) =>
    wrongIn(call, view).map((what) => ({
      invariant: 'I5' as const,
      where: `session ${call.session}, message m-${call.session}-${call.message}, request ${call.call}`,
      what,
    })),
  );
}

function wrongIn(call: CallLedger, view: View): string[] {
  if (call.stray !== undefined) return [`asks what nobody sent: ${JSON.stringify(call.stray)}`];
  const wrong: string[] = [];
  try {
    assertValidOpenAiMessages(call.prompt);
  } catch (error) {
    wrong.push((error as Error).message);
  }
  const prompt = call.prompt as PromptMessage[];
  const persona = contentOf(prompt[0]).trim();
  if (persona !== PERSONA) wrong.push(`not the persona: ${firstDifference(PERSONA, persona)}`);
  const foreign = foreignMark(JSON.stringify(prompt), call.session);
  if (foreign !== undefined) wrong.push(`holds a piece of another session: ${JSON.stringify(foreign)}`);
  // What it was of may be gone from the store.
  return view.losses.since(call.at) ? wrong : [...wrong, ...wrongHistory(call, prompt, view)];
}

/** What came before the message to answer is what is stored before it, the oldest perhaps left out. */
function wrongHistory(call: CallLedger, prompt: PromptMessage[], view: View): string[] {
  const stored = view.evidence.stored.find(({ session }) => session === call.session)?.messages;
  const place = stored?.findIndex(({ id }) => id === `m-${call.session}-${call.message}`) ?? -1;
  if (!stored || place < 0) return [];
  const before = stored.slice(0, place);
  const users = prompt.filter(({ role }) => role === 'user').slice(0, -1);
  const earlier = before.filter(({ role }) => role === 'user').slice(before.length / 2 - users.length);
  const [expected, actual] = [earlier.map(textOf).join('\n'), users.map(contentOf).join('\n')];
  if (expected !== actual) return [`not the messages that came before: ${firstDifference(expected, actual)}`];
  const lastUser = prompt.findLastIndex(({ role }) => role === 'user');
  // Answers with tool calls are several messages: their marks were checked, not their words.
  const answers = prompt.slice(0, lastUser).filter((message) => message.role === 'assistant');
  const simple = before.filter(({ role }) => role === 'assistant').slice(before.length / 2 - users.length);
  if (answers.length !== simple.length) return [];
  return simple.flatMap((message, index) => {
    if (message.parts.some(({ type }) => type.startsWith('tool-'))) return [];
    const [stands, said] = [textOf(message), contentOf(answers[index])];
    return stands === said ? [] : [`not the answer that came before: ${firstDifference(stands, said)}`];
  });
}

function contentOf(message: PromptMessage | undefined): string {
  const content = message?.content;
  if (typeof content === 'string') return content;
  return Array.isArray(content)
    ? (content as { text?: string }[]).map(({ text }) => text ?? '').join('')
    : '';
}
