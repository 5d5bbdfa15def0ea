/** What both AI SDK contenders do: `streamText`, answered over HTTP as a UI message stream. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import {
  convertToModelMessages,
  pipeUIMessageStreamToResponse,
  streamText,
  toUIMessageStream,
  type UIMessage,
} from 'ai';
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { ready } from './relay.ts';

const model = createOpenAICompatible({
  name: 'bench',
  baseURL: process.env['UPSTREAM_URL'] ?? '',
  includeUsage: true,
}).chatModel('bench');

/** Given a copy of the stream to keep. */
type Consume = (options: { stream: ReadableStream<string> }) => void | Promise<void>;

async function chat(request: IncomingMessage): Promise<UIMessage[]> {
  return (JSON.parse(await text(request)) as { messages: UIMessage[] }).messages;
}

/** Answers `POST /` until the process ends. */
export function serveChat(consumeSseStream?: Consume): void {
  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const originalMessages = await chat(request);
      const { stream } = streamText({ model, messages: await convertToModelMessages(originalMessages) });
      await pipeUIMessageStreamToResponse({
        response,
        stream: toUIMessageStream({ stream, originalMessages }),
        ...(consumeSseStream && { consumeSseStream }),
      });
    };
    answer().catch((error: unknown) => {
      console.error(error);
      response.destroy();
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1', 4_096, () => ready(server));
}
