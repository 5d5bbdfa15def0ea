import type { TurnErrorCode } from '../protocol.js';
import { sleep } from './model.call.js';
import {
  ModelError,
  ModelProvider,
  type ModelPart,
  type ModelRequest,
  type PromptMessage,
  type ToolResult,
} from './model.provider.js';
import { estimatePromptTokens, estimateTokens } from './transcript.js';

/** As fast as a brisk reader: a usual answer takes about two seconds. */
const WORD_DELAY_MS = 25;
const LONGEST_DELAY_MS = 60_000;
const MOST_WORDS = 10_000;
const BREAK_AFTER_WORDS = 8;
const QUOTE_LENGTH = 200;
/** How many commands may stand before the last one: `/slow 50 /reason /words 20`. */
const MOST_PREFIXES = 2;

const HELP = `I am Mooring's built-in scripted model, not an AI. Some messages make me do something special:
/echo TEXT says TEXT and nothing else.
/words N says N numbered words, at most ${MOST_WORDS}.
/slow MS MESSAGE answers MESSAGE, which may be a command, with MS milliseconds before each word.
/reason MESSAGE thinks aloud before it answers MESSAGE.
/tool NAME JSON calls that tool with that input, and then reports its result.
/length stops as if the longest answer was reached.
/empty ends without an answer.
/break breaks off with an error after some words.
/fail CODE fails with that error before the first word; provider_error is the usual one.
/hang never answers.`;

const REASONING = 'The user wants to see me think. I have a script and no thoughts, so these words must do.';

/** Every code of a failed turn, and whether such a turn may succeed later. */
const RETRYABLE: Readonly<Record<TurnErrorCode, boolean>> = {
  provider_error: true,
  provider_timeout: true,
  provider_rate_limited: true,
  provider_unauthorized: false,
  content_filter: false,
  context_overflow: false,
  tool_limit: false,
  turn_timeout: true,
  internal: true,
};

export interface ScriptedModelOptions {
  /** Before each word, milliseconds; 0 sends all at once. */
  delayMs?: number;
  /** For tests: what to answer instead, part by part. */
  script?: (request: ModelRequest, signal: AbortSignal) => Iterable<ModelPart> | AsyncIterable<ModelPart>;
}

/** What a message makes the model do. */
interface Plan {
  /** Instead of an answer. */
  fault?: 'hang' | ModelError;
  delayMs?: number;
  reasoning?: string;
  text: string;
  call?: { toolName: string; input: string };
  end?: 'length' | ModelError;
}

/**
 * Answers without a vendor or a key, by a fixed script that its `/help` tells. It says that it is no AI.
 * The same request always gets the same answer, and usage is this project's own estimate.
 */
export class ScriptedModelProvider extends ModelProvider {
  readonly description = 'the built-in scripted model, which is no AI';
  override readonly system = { provider: 'scripted', model: 'scripted' };
  readonly #delayMs: number;
  readonly #script: ScriptedModelOptions['script'];

  constructor({ delayMs = WORD_DELAY_MS, script }: ScriptedModelOptions = {}) {
    super();
    this.#delayMs = delayMs;
    this.#script = script;
  }

  async stream(request: ModelRequest, signal: AbortSignal, onPart: (part: ModelPart) => void): Promise<void> {
    for await (const part of this.parts(request, signal)) onPart(part);
  }

  /** The answer at its pace. */
  async *parts(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelPart, void, undefined> {
    const plan = this.#script ? undefined : planOf(request.prompt);
    const parts = plan ? play(plan, request, signal) : (this.#script?.(request, signal) ?? []);
    const delayMs = plan?.delayMs ?? this.#delayMs;
    for await (const part of parts) {
      const isWord = part.type === 'text' || part.type === 'reasoning';
      if (isWord && delayMs > 0) await sleep(delayMs, signal);
      signal.throwIfAborted();
      yield part;
    }
  }
}

async function* play(
  plan: Plan,
  { prompt, tools }: ModelRequest,
  signal: AbortSignal,
): AsyncGenerator<ModelPart> {
  if (plan.fault === 'hang') await untilAborted(signal);
  else if (plan.fault) throw plan.fault;
  yield { type: 'begin' };
  for (const text of words(plan.reasoning ?? '')) yield { type: 'reasoning', text };
  for (const text of words(plan.text)) yield { type: 'text', text };
  if (plan.call) {
    const { toolName, input } = plan.call;
    const toolCallId = `call-${countCalls(prompt) + 1}`;
    yield { type: 'tool-input-start', toolCallId, toolName };
    for (const text of words(input)) yield { type: 'tool-input-delta', toolCallId, text };
    yield { type: 'tool-call', toolCallId, toolName, input };
  }
  if (plan.end instanceof ModelError) throw plan.end;
  const written = [plan.reasoning ?? '', plan.text, plan.call?.input ?? ''].join('');
  yield {
    type: 'finish',
    reason: plan.end ?? (plan.call ? 'tool-calls' : 'stop'),
    usage: { inputTokens: estimatePromptTokens(prompt, tools), outputTokens: estimateTokens(written) },
  };
}

function planOf(prompt: readonly PromptMessage[]): Plan {
  const asked = prompt.flatMap((message) => (message.role === 'user' ? [message.content] : []));
  const usual = (message: string): string => usualAnswer(message, nameIn(prompt), asked.length);
  const plan = planFor(asked.at(-1) ?? '', usual);
  const last = prompt.at(-1);
  if (last?.role !== 'tool') return plan;
  return { delayMs: plan.delayMs, text: last.content.map(report).join('\n') };
}

/** @param usual what to say to a message that is no command */
function planFor(message: string, usual: (message: string) => string, prefixes = 0): Plan {
  const [, command = '', rest = ''] = /^\s*\/(\w+)\s*(.*)$/su.exec(message) ?? [];
  const planRest = (text: string): Plan =>
    prefixes < MOST_PREFIXES ? planFor(text, usual, prefixes + 1) : { text: usual(text) };
  switch (command) {
    case 'help':
      return { text: HELP };
    case 'echo':
      return { text: rest };
    case 'words':
      return { text: numberedWords(toInteger(rest, MOST_WORDS, 100)) };
    case 'slow': {
      const [, ms = '', inner = ''] = /^(\S*)\s*(.*)$/su.exec(rest) ?? [];
      return { ...planRest(inner), delayMs: toInteger(ms, LONGEST_DELAY_MS, 250) };
    }
    case 'reason':
      return { ...planRest(rest), reasoning: REASONING };
    case 'tool': {
      const [, toolName = '', input = ''] = /^(\S*)\s*(.*)$/su.exec(rest) ?? [];
      if (toolName === '') return { text: 'Which tool? Write /tool NAME JSON.' };
      return { text: `I call the tool ${toolName}.`, call: { toolName, input: input === '' ? '{}' : input } };
    }
    case 'length':
      return { text: 'I stop in the middle of this', end: 'length' };
    case 'empty':
      return { text: '' };
    case 'break': {
      const end = failure('provider_error', 'The scripted model broke off, as it was asked.');
      return { text: numberedWords(BREAK_AFTER_WORDS), end };
    }
    case 'fail':
      return failPlan(rest.trim());
    case 'hang':
      return { text: '', fault: 'hang' };
    default:
      return { text: usual(message) };
  }
}

function failPlan(code: string): Plan {
  const known = Object.keys(RETRYABLE) as TurnErrorCode[];
  const wanted = known.find((one) => one === (code === '' ? 'provider_error' : code));
  if (!wanted) return { text: `I know these codes: ${known.join(', ')}.` };
  return { text: '', fault: failure(wanted, 'The scripted model failed, as it was asked.') };
}

function failure(code: TurnErrorCode, message: string): ModelError {
  return new ModelError(code, message, { retryable: RETRYABLE[code] });
}

function usualAnswer(message: string, name: string | undefined, seen: number): string {
  const role = name === undefined ? 'here' : `in the place of ${name}`;
  const count = seen === 1 ? 'It is the first message' : `It is one of ${seen} messages`;
  return (
    `I am Mooring's built-in scripted model, not an AI, and I speak ${role} until a real one is configured. ` +
    `You wrote: "${quote(message)}". ${count} of yours that I can see in this conversation. ` +
    'My words come one by one, as those of a real model do, so that you can try what this gateway is for: ' +
    'close this page while I am speaking, cut your network, or open a second window. ' +
    'When you come back, nothing of this answer will be missing. Send /help to see what else I can do.'
  );
}

function report({ toolName, output, isError }: ToolResult): string {
  const value = typeof output === 'string' ? output : JSON.stringify(output);
  return isError ? `The tool ${toolName} failed: ${value}` : `The tool ${toolName} answered: ${value}`;
}

function nameIn(prompt: readonly PromptMessage[]): string | undefined {
  const persona = prompt[0]?.role === 'system' ? prompt[0].content : '';
  return /\bYou are (\p{Lu}[\p{L}\p{M}'’-]*)/u.exec(persona)?.[1];
}

/** By code points, so that no character is cut in two. */
function quote(message: string): string {
  const characters = Array.from(message.trim().replace(/\s+/gu, ' '));
  return characters.length <= QUOTE_LENGTH
    ? characters.join('')
    : `${characters.slice(0, QUOTE_LENGTH).join('')}…`;
}

/** Each with the white space that follows it: joined they are the text. */
function words(text: string): string[] {
  return text === '' ? [] : text.split(/(?<=\s)(?=\S)/u);
}

function numberedWords(count: number): string {
  return Array.from({ length: count }, (_, index) => `word-${index + 1}`).join(' ');
}

function toInteger(text: string, most: number, usual: number): number {
  return /^\d+\s*$/.test(text) ? Math.min(Number(text), most) : usual;
}

function countCalls(prompt: readonly PromptMessage[]): number {
  return prompt.reduce((count, message) => count + (message.role === 'tool' ? message.content.length : 0), 0);
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
  });
}
