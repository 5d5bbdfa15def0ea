import type { AssistantContent, ModelRequest, PromptMessage, ToolResult } from '../model.provider.js';

/**
 * The body of a streamed chat completion (OpenAI's API reference: "Create chat completion").
 * @param model the one to ask where the request names none
 */
export function toRequestBody(request: ModelRequest, model: string): string {
  const { temperature, prompt, tools } = request;
  return JSON.stringify({
    model: request.model ?? model,
    temperature,
    messages: prompt.flatMap(toMessages),
    tools:
      tools.length === 0
        ? undefined
        : tools.map(({ name, description, inputSchema }) => ({
            type: 'function',
            function: { name, description, parameters: inputSchema },
          })),
    stream: true,
    stream_options: { include_usage: true },
  });
}

/** The tool calls of a prompt: an answer must not use their ids again. */
export function callIdsOf(prompt: readonly PromptMessage[]): Set<string> {
  const ids = prompt.flatMap((message) =>
    message.role === 'tool' ? message.content.map(({ toolCallId }) => toolCallId) : [],
  );
  return new Set(ids);
}

/** One, but for the results of several tool calls, which are one message each. */
function toMessages(message: PromptMessage): object[] {
  switch (message.role) {
    case 'system':
    case 'user':
      return [message];
    case 'assistant':
      return [toAssistantMessage(message.content)];
    case 'tool':
      return message.content.map((result) => ({
        role: 'tool',
        tool_call_id: result.toolCallId,
        content: toText(result),
      }));
  }
}

function toAssistantMessage(content: readonly AssistantContent[]): object {
  const text = content.map((part) => (part.type === 'text' ? part.text : '')).join('');
  const calls = content.flatMap((part) =>
    part.type === 'tool-call'
      ? {
          id: part.toolCallId,
          type: 'function',
          function: { name: part.toolName, arguments: JSON.stringify(part.input) },
        }
      : [],
  );
  // Only a message that calls tools may be without content.
  if (calls.length === 0) return { role: 'assistant', content: text };
  return { role: 'assistant', content: text === '' ? null : text, tool_calls: calls };
}

/** Some vendors refuse an empty text: as JSON it is two quotes. */
function toText({ output }: ToolResult): string {
  return typeof output === 'string' && output !== '' ? output : JSON.stringify(output ?? null);
}
