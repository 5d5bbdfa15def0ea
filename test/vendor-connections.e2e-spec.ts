import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, describe, expect, it } from '@jest/globals';
import { OpenAiModelProvider } from '../src/agents/openai/openai-model.provider.js';
import { LOCALHOST } from './support/localhost.certificate.js';

const AT_ONCE = { beforeFlush: (read: () => void) => void setImmediate(read) };
/** More than one read takes, and little. */
const TOKENS = [5_000, 3];

/** Answers with as many tokens as the prompt's number says, each with its answer's name. */
const answer: RequestListener = (request, response) => {
  void text(request).then((body) => {
    const { messages } = JSON.parse(body) as { messages: { content: string }[] };
    for (const token of tokensOf(messages[0]?.content ?? '')) {
      response.write(`data: ${JSON.stringify({ choices: [{ delta: { content: token } }] })}\n\n`);
    }
    response.end('data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
  });
};

function tokensOf(prompt: string): string[] {
  const [name = '', count] = prompt.split(' ');
  return Array.from({ length: Number(count) }, (_, index) => `${name}⚓${index} `);
}

describe('the connections to a vendor', () => {
  const servers: Server[] = [];

  afterEach(() => {
    setDefaultCACertificates(getCACertificates('bundled'));
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function serve(scheme: string): Promise<string> {
    const server = scheme === 'https' ? createHttpsServer(LOCALHOST, answer) : createHttpServer(answer);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    return `${scheme}://localhost:${(server.address() as AddressInfo).port}/v1`;
  }

  it.each(['http', 'https'])(
    '[MOD-1] keep apart what many answers bring at once, over %s',
    async (scheme) => {
      setDefaultCACertificates([LOCALHOST.cert]);
      const provider = new OpenAiModelProvider({ baseUrl: await serve(scheme), model: 'm' }, AT_ONCE);
      const ask = async (prompt: string): Promise<void> => {
        let said = '';
        await provider.stream(
          { prompt: [{ role: 'user', content: prompt }], tools: [] },
          new AbortController().signal,
          (part) => void (said += part.type === 'text' ? part.text : ''),
        );
        expect(said === tokensOf(prompt).join('')).toBe(true);
      };
      // Twice, so that connections are used again.
      for (const round of ['a', 'b']) {
        await Promise.all(
          Array.from({ length: 20 }, (_, index) => ask(`${round}${index} ${TOKENS[index % TOKENS.length]}`)),
        );
      }
    },
  );
});
