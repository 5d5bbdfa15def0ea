import type { FlushClock } from '../../streaming/flush.clock.js';
import { ModelProvider, type ModelPart, type ModelRequest, type ModelSystem } from '../model.provider.js';
import { callIdsOf, toRequestBody } from './chat.request.js';
import { AnswerReader } from './answer.reader.js';
import { ChatStream } from './chat.stream.js';
import { VendorConnections } from './vendor.connections.js';

export interface Vendor {
  /** Up to and including `/v1`. */
  baseUrl: string;
  apiKey?: string;
  /** Asked where the request names none. */
  model: string;
}

/**
 * Any OpenAI-compatible endpoint (chat completions, streaming), over undici and eventsource-parser: a token
 * costs a fifth of what it costs through `fetch` and web streams (docs/decisions/0008).
 */
export class OpenAiModelProvider extends ModelProvider {
  readonly description: string;
  override readonly system: ModelSystem;
  readonly #origin: string;
  readonly #path: string;
  readonly #headers: Record<string, string>;
  readonly #connections = new VendorConnections();

  /** @param clock when what is read would be sent: no need to read it much before */
  constructor(
    private readonly vendor: Vendor,
    private readonly clock: Pick<FlushClock, 'beforeFlush'>,
  ) {
    super();
    const { baseUrl, apiKey, model } = vendor;
    const { protocol, host, hostname, port, pathname, origin, search } = new URL(baseUrl);
    this.description = `${model} at ${protocol}//${host}${pathname}`;
    this.system = {
      // Whose protocol it is; who answers it is told by the address.
      provider: 'openai',
      model,
      address: hostname,
      port: Number(port || (protocol === 'https:' ? 443 : 80)),
    };
    this.#origin = origin;
    this.#path = `${pathname.replace(/\/+$/, '')}/chat/completions${search}`;
    this.#headers = {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      'user-agent': 'mooring',
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    };
  }

  async stream(request: ModelRequest, signal: AbortSignal, onPart: (part: ModelPart) => void): Promise<void> {
    signal.throwIfAborted();
    const { apiKey, model } = this.vendor;
    const chat = new ChatStream(callIdsOf(request.prompt), apiKey);
    const answer = new AnswerReader(chat, apiKey, onPart, this.clock, () =>
      giveUp(new Error('no longer wanted')),
    );
    const post = {
      origin: this.#origin,
      path: this.#path,
      method: 'POST',
      headers: this.#headers,
      body: toRequestBody(request, model),
    } as const;
    const giveUp = this.#connections.send(post, answer);
    const onAbort = (): void => answer.fail(signal.reason as Error);
    signal.addEventListener('abort', onAbort);
    try {
      await answer.read;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}
