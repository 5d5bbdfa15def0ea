import {
  createServer as createHttpServer,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, describe, expect, it } from '@jest/globals';
import { OpenAiModelProvider } from '../src/agents/openai/openai-model.provider.js';
import { until } from './support/channel.js';
import { LOCALHOST } from './support/localhost.certificate.js';

const AT_ONCE = { beforeFlush: (read: () => void) => void setImmediate().then(read) };
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

  async function serve(scheme: string, listener: RequestListener = answer): Promise<string> {
    const server = scheme === 'https' ? createHttpsServer(LOCALHOST, listener) : createHttpServer(listener);
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

  /** An answer whose tokens come in pairs, and which is read on only when the test says so. */
  async function begin(scheme: string) {
    setDefaultCACertificates([LOCALHOST.cert]);
    const asked = Promise.withResolvers<ServerResponse>();
    const baseUrl = await serve(scheme, (_, response) => asked.resolve(response));
    const reads: (() => void)[] = [];
    const beforeFlush = (read: () => void): void => void reads.push(read);
    const provider = new OpenAiModelProvider({ baseUrl, model: 'm' }, { beforeFlush });
    const texts: string[] = [];
    const over = provider.stream(
      { prompt: [{ role: 'user', content: 'x' }], tools: [] },
      new AbortController().signal,
      (part) => void (part.type === 'text' && texts.push(part.text)),
    );
    over.catch(() => undefined);
    const response = await asked.promise;
    const send = async (...events: string[]): Promise<void> => {
      response.socket?.cork();
      const sent = events.map((event) => new Promise((done) => response.write(`data: ${event}\n\n`, done)));
      response.socket?.uncork();
      await Promise.all(sent);
    };
    const say = (...tokens: string[]): Promise<void> =>
      send(...tokens.map((content) => JSON.stringify({ choices: [{ delta: { content } }] })));
    await say('a', 'b');
    await until(() => reads.length > 0);
    expect(texts.join('')).toBe('ab');
    const tick = (): void => reads.splice(0).forEach((read) => read());
    return { send, say, tick, texts, over, response };
  }

  it.each(['http', 'https'])(
    '[MOD-1] leave what comes to the next tick, and then read it whole, over %s',
    async (scheme) => {
      const { send, say, tick, texts, over, response } = await begin(scheme);
      await say('c', 'd');
      await setImmediate();
      expect(texts.join('')).toBe('ab');
      tick();
      // Without TLS it is read there and then.
      if (scheme === 'http') expect(texts.join('')).toBe('abcd');
      await until(() => texts.join('') === 'abcd');
      // A tick that finds nothing reads on as things come.
      tick();
      await say('e', 'f');
      await until(() => texts.join('') === 'abcdef');
      await send('{"choices":[{"delta":{},"finish_reason":"stop"}]}', '[DONE]');
      response.end();
      tick();
      await over;
    },
  );

  it.each(['destroy', 'resetAndDestroy'] as const)(
    '[MOD-4] notice at the next tick that the connection is gone (%s)',
    async (end) => {
      const { say, tick, texts, over, response } = await begin('http');
      await say('c');
      const { socket } = response;
      const gone = new Promise((resolve) => socket?.once('close', resolve));
      if (end === 'destroy') socket?.destroy();
      else (socket as Socket & { resetAndDestroy(): void }).resetAndDestroy();
      await gone;
      tick();
      await until(() => texts.length > 0);
      tick();
      await expect(over).rejects.toMatchObject({ code: 'provider_error' });
    },
  );
});
