import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Channel } from '../../src/testing/channel.js';

export interface OpenAiMessage {
  role: string;
  content?: unknown;
  tool_calls?: { id: string }[];
  tool_call_id?: string;
}

/** One streaming request to the model server; the test decides what it is answered, and when. */
export class VendorCall {
  closed = false;

  constructor(
    readonly messages: OpenAiMessage[],
    private readonly response: ServerResponse,
  ) {
    response.once('close', () => (this.closed = true));
  }

  get asked(): string {
    const { content } = this.messages.findLast(({ role }) => role === 'user') ?? {};
    return typeof content === 'string' ? content : JSON.stringify(content);
  }

  begin(): this {
    if (!this.response.headersSent) this.response.writeHead(200, { 'content-type': 'text/event-stream' });
    return this;
  }

  text(content: string): this {
    this.begin();
    this.raw(JSON.stringify({ choices: [{ index: 0, delta: { content } }] }));
    return this;
  }

  /** Asks for a tool; the answer goes on in another call. */
  tool(id: string, name: string, input: string): void {
    this.begin();
    const call = { index: 0, id, type: 'function', function: { name, arguments: input } };
    this.raw(JSON.stringify({ choices: [{ index: 0, delta: { tool_calls: [call] } }] }));
    this.raw(JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] }));
    this.response.end('data: [DONE]\n\n');
  }

  raw(data: string): this {
    this.response.write(`data: ${data}\n\n`);
    return this;
  }

  /** The transport breaks. */
  cut(): void {
    this.response.destroy();
  }

  refuse(status: number, headers: Record<string, string> = {}): void {
    this.response.writeHead(status, { 'content-type': 'application/json', ...headers });
    this.response.end(JSON.stringify({ error: { message: `refused with ${status}` } }));
  }

  finish(finish_reason = 'stop'): void {
    this.begin();
    this.raw(JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason }] }));
    this.raw(
      JSON.stringify({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } }),
    );
    this.response.end('data: [DONE]\n\n');
  }
}

/**
 * A model server that speaks chat completions and keeps every prompt.
 * @param answer takes every call, none of which waits for `nextCall` then
 */
export async function startOpenAiServer(answer?: (call: VendorCall) => void): Promise<{
  url: string;
  calls: VendorCall[];
  nextCall(): Promise<VendorCall>;
  stop(): Promise<void>;
}> {
  const calls: VendorCall[] = [];
  const waiting = new Channel<VendorCall>('a request to the model server');
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      const { messages } = JSON.parse(body) as { messages: OpenAiMessage[] };
      const call = new VendorCall(messages, response);
      calls.push(call);
      if (answer) answer(call);
      else waiting.push(call);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    calls,
    nextCall: () => waiting.next(),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
