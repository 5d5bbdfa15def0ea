import { PLACEHOLDER_TEXT, type MessagePart, type ToolPart, type UIMessage } from '../protocol.js';
import { isRecord } from '../sessions/json.js';
import {
  ModelError,
  type AssistantContent,
  type PromptMessage,
  type ToolResult,
  type ToolSpec,
} from './model.provider.js';

/** Stands in a prompt for a user message without text: vendors refuse empty ones, and with them the session. */
export const EMPTY_USER_TEXT = '[empty message]';

/** The result of a tool call that was cut off before it had one. */
export const INTERRUPTED_TEXT = 'interrupted';

/** What a chat format wraps around each message, by OpenAI's own counting recipe about 3 to 4 tokens. */
const MESSAGE_OVERHEAD_TOKENS = 4;

/** UTF-8 bytes of English text per token; languages in other scripts come out a little too high. */
const BYTES_PER_TOKEN = 4;

/** Vendors refuse a whole conversation in which a model once made up another kind of name. */
const TOOL_NAME_LENGTH = 64;
const TOOL_NAME_FOREIGN = /[^A-Za-z0-9_-]/g;

export interface PromptSource {
  /** Always the first message of the prompt. */
  persona: string;
  /**
   * Oldest first. The last is the user's message to answer, or the answer in progress, whose last step ended
   * with tool results.
   */
  messages: readonly UIMessage[];
  /** What persona, messages and tools may take together. */
  budgetTokens: number;
  /** What the tools' descriptions take of it. */
  toolsTokens?: number;
}

export interface BuiltPrompt {
  prompt: PromptMessage[];
  /** Of the prompt and the tools. */
  estimatedTokens: number;
}

/**
 * Makes any transcript whatsoever a conversation: it begins with a user message and alternates; a user
 * message that was never answered gets the placeholder for its answer, unless it is the last; answers in a
 * row become one; an answer without text (white space is none) or a tool call holds the placeholder; every
 * tool call has one result and an id of its own in the transcript. User messages are never changed, a valid
 * transcript comes back equal, and the input is left as it is.
 */
export function repair(messages: readonly UIMessage[]): UIMessage[] {
  const callIds = new Set<string>();
  return alternate(messages).map((message) =>
    message.role === 'user' ? message : repairAnswer(message, callIds),
  );
}

/**
 * The persona, then as many of the newest turns (a user message and its answer) as the budget holds.
 * @throws ModelError `context_overflow` if it does not even hold the persona, the tools and the last turn
 */
export function buildPrompt({ persona, messages, budgetTokens, toolsTokens = 0 }: PromptSource): BuiltPrompt {
  const repaired = repair(messages);
  const system: PromptMessage = { role: 'system', content: persona };
  const turns: PromptMessage[][] = [];
  let estimatedTokens = estimatePromptTokens([system]) + toolsTokens;
  // Repaired, so every even index is a user message and the odd one after it its answer.
  const last = repaired.length - (repaired.length % 2 === 0 ? 2 : 1);
  for (let index = last; index >= 0; index -= 2) {
    const turn = turnPrompt(repaired.slice(index, index + 2), index === last);
    const tokens = estimatedTokens + estimatePromptTokens(turn);
    if (tokens > budgetTokens && index !== last) break;
    estimatedTokens = tokens;
    turns.push(turn);
  }
  if (estimatedTokens > budgetTokens) {
    throw new ModelError(
      'context_overflow',
      `The message takes about ${estimatedTokens} tokens with all that must go with it; ${budgetTokens} fit.`,
    );
  }
  return { prompt: [system, ...turns.reverse().flat()], estimatedTokens };
}

/** An estimate, no vendor's count: UTF-8 bytes / 4, rounded up. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);
}

/** An estimate of what a request takes: its messages, tool calls and results, and the tools' descriptions. */
export function estimatePromptTokens(
  prompt: readonly PromptMessage[],
  tools: readonly ToolSpec[] = [],
): number {
  const toolsTokens = tools.length === 0 ? 0 : estimateTokens(JSON.stringify(tools));
  return prompt.reduce((sum, message) => sum + MESSAGE_OVERHEAD_TOKENS + contentTokens(message), toolsTokens);
}

function alternate(messages: readonly UIMessage[]): UIMessage[] {
  const result: UIMessage[] = [];
  for (const message of messages) {
    const last = result.at(-1);
    if (message.role === 'user') {
      if (last?.role === 'user') result.push(missingAnswer(last));
      result.push(message);
    } else if (last?.role === 'user') {
      result.push(message);
    } else if (last) {
      result[result.length - 1] = merge(last, message);
    }
  }
  return result;
}

function missingAnswer(question: UIMessage): UIMessage {
  const createdAt = question.metadata?.createdAt;
  return {
    id: `unanswered-${question.id}`,
    role: 'assistant',
    ...(createdAt === undefined ? {} : { metadata: { createdAt } }),
    parts: [placeholder()],
  };
}

/** What the second says came after the first one's tool results: it begins a step of its own. */
function merge(first: UIMessage, second: UIMessage): UIMessage {
  const startsStep = second.parts.length === 0 || second.parts[0]?.type === 'step-start';
  const between: MessagePart[] = first.parts.length === 0 || startsStep ? [] : [{ type: 'step-start' }];
  return { ...first, parts: [...first.parts, ...between, ...second.parts] };
}

function repairAnswer(answer: UIMessage, callIds: Set<string>): UIMessage {
  const parts = answer.parts.map((part) => (isTool(part) ? repairCall(part, callIds) : part));
  if (!parts.some((part) => isTool(part) || isWritten(part))) parts.push(placeholder());
  const unchanged =
    parts.length === answer.parts.length && parts.every((part, i) => part === answer.parts[i]);
  return unchanged ? answer : { ...answer, parts };
}

function repairCall(part: ToolPart, callIds: Set<string>): ToolPart {
  const toolCallId = uniqueId(part.toolCallId, callIds);
  const named = toolCallId === part.toolCallId ? part : { ...part, toolCallId };
  if (part.state === 'output-available' || part.state === 'output-error') return named;
  const { output: _output, ...open } = named;
  return { ...open, state: 'output-error', errorText: INTERRUPTED_TEXT };
}

/** Some vendors number the calls of each answer anew, and others refuse an id that comes twice. */
function uniqueId(id: string, taken: Set<string>): string {
  const base = id === '' ? 'call' : id;
  let unique = base;
  for (let n = 2; taken.has(unique); n += 1) unique = `${base}-${n}`;
  taken.add(unique);
  return unique;
}

function turnPrompt([question, answer]: UIMessage[], isLast: boolean): PromptMessage[] {
  const prompt: PromptMessage[] = question ? [{ role: 'user', content: userText(question) }] : [];
  if (!answer) return prompt;
  prompt.push(...answerPrompt(answer));
  // An answer that was cut off after its tool results: some vendors want one between them and the user.
  if (!isLast && prompt.at(-1)?.role === 'tool') {
    prompt.push({ role: 'assistant', content: [{ type: 'text', text: PLACEHOLDER_TEXT }] });
  }
  return prompt;
}

function userText({ parts }: UIMessage): string {
  const text = parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
  return text.trim() === '' ? EMPTY_USER_TEXT : text;
}

/** Each step that called tools becomes two messages; one that did not joins the next. Reasoning is left out. */
function answerPrompt({ parts }: UIMessage): PromptMessage[] {
  const prompt: PromptMessage[] = [];
  let texts: string[] = [];
  let calls: ToolPart[] = [];
  const endStep = (): void => {
    if (texts.length > 0 || calls.length > 0)
      prompt.push({ role: 'assistant', content: stepContent(texts, calls) });
    if (calls.length > 0) prompt.push({ role: 'tool', content: calls.map(toResult) });
    texts = [];
    calls = [];
  };
  for (const part of parts) {
    if (part.type === 'step-start' && calls.length > 0) endStep();
    else if (isTool(part)) calls.push(part);
    else if (isWritten(part)) texts.push(part.text);
  }
  endStep();
  return prompt;
}

function stepContent(texts: string[], calls: ToolPart[]): AssistantContent[] {
  const text: AssistantContent[] = texts.length === 0 ? [] : [{ type: 'text', text: texts.join('\n\n') }];
  return [...text, ...calls.map(toCall)];
}

function toCall(part: ToolPart): AssistantContent {
  // Vendors want an object; a model's broken JSON is spoken of by the result alone.
  const input = isRecord(part.input) ? part.input : {};
  return { type: 'tool-call', toolCallId: part.toolCallId, toolName: toolName(part), input };
}

function toResult(part: ToolPart): ToolResult {
  const isError = part.state !== 'output-available';
  const output = isError ? (part.errorText ?? INTERRUPTED_TEXT) : (part.output ?? null);
  return { toolCallId: part.toolCallId, toolName: toolName(part), output, isError };
}

function toolName({ type }: ToolPart): string {
  const name = type.slice('tool-'.length).replace(TOOL_NAME_FOREIGN, '_').slice(0, TOOL_NAME_LENGTH);
  return name === '' ? 'unknown' : name;
}

function contentTokens(message: PromptMessage): number {
  switch (message.role) {
    case 'system':
    case 'user':
      return estimateTokens(message.content);
    case 'assistant':
      return sum(message.content, (part) =>
        part.type === 'text' ? estimateTokens(part.text) : estimateTokens(part.toolName + json(part.input)),
      );
    case 'tool':
      return sum(message.content, ({ output }) => estimateTokens(json(output)));
  }
}

function sum<Item>(items: readonly Item[], tokens: (item: Item) => number): number {
  return items.reduce((total, item) => total + tokens(item), 0);
}

function json(value: unknown): string {
  return JSON.stringify(value) ?? 'null';
}

function placeholder(): MessagePart {
  return { type: 'text', text: PLACEHOLDER_TEXT, state: 'done' };
}

function isTool(part: MessagePart): part is ToolPart {
  return part.type.startsWith('tool-');
}

function isWritten(part: MessagePart): part is Extract<MessagePart, { type: 'text' }> {
  return part.type === 'text' && part.text.trim() !== '';
}
