import type { FlushClock } from '../../streaming/flush.clock.js';
import { ModelProvider, type ModelPart, type ModelRequest } from '../model.provider.js';
import { callIdsOf, toRequestBody } from './chat.request.js';
import { ChatStream } from './chat.stream.js';
import { VendorConnections, type VendorResponse } from './vendor.connections.js';
import { toNetworkError, toRefusal } from './vendor.error.js';

export interface Vendor {
  /** Up to and including `/v1`. */
  baseUrl: string;
  apiKey?: string;
  /** Asked where the request names none. */
  model: string;
}

/** Bytes of the body of a refusal that are read for the vendor's words. */
const LONGEST_REFUSAL = 64 * 1024;

/** A read of fewer bytes has emptied the socket: more comes at a model's pace, and is worth waiting for. */
const SMALL_READ = 16 * 1024;

/** How long a response may take to end after its last event, before its connection is given up. */
const ENDING_MS = 1_000;

type Body = VendorResponse['body'];

/**
 * Any OpenAI-compatible endpoint (chat completions, streaming), over undici and eventsource-parser: a token
 * costs a fifth of what it costs through `fetch` and web streams (docs/decisions/0008).
 */
export class OpenAiModelProvider extends ModelProvider {
  readonly description: string;
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
    const { protocol, host, pathname, origin, search } = new URL(baseUrl);
    this.description = `${model} at ${protocol}//${host}${pathname}`;
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
    const { apiKey, model } = this.vendor;
    const response = await this.#post(toRequestBody(request, model), signal);
    if (response.statusCode >= 300) throw await this.#refusal(response, signal);
    onPart({ type: 'begin' });
    try {
      await this.#read(response, new ChatStream(callIdsOf(request.prompt), apiKey), onPart);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  }

  async #post(body: string, signal: AbortSignal): Promise<VendorResponse> {
    try {
      return await this.#connections.request({
        origin: this.#origin,
        path: this.#path,
        method: 'POST',
        headers: this.#headers,
        body,
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      throw toNetworkError(error as Error);
    }
  }

  /** Hands on what each read of the socket brings, until the answer is whole. */
  #read(
    { body, connection }: VendorResponse,
    stream: ChatStream,
    onPart: (part: ModelPart) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      let pieces: Buffer[] = [];
      let hasContent = false;
      const fail = (error: Error): void => {
        body.destroy();
        reject(error);
      };
      const write = (): void => {
        if (pieces.length === 0 || stream.done) return;
        const bytes = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
        pieces = [];
        try {
          stream.write(bytes);
        } finally {
          // What came before an error was said, too.
          for (const part of stream.take()) {
            onPart(part);
            hasContent = true;
          }
        }
        if (stream.done) finish();
        else if (hasContent && bytes.length < SMALL_READ) hold();
      };
      const hold = (): void => {
        connection.hold();
        this.clock.beforeFlush(() => connection.release());
      };
      const finish = (): void => {
        release(body);
        resolve();
      };
      const step = (work: () => void): void => {
        try {
          work();
        } catch (error) {
          fail(error as Error);
        }
      };
      // Vendors wrap each token into an HTTP chunk of its own: those of one read are taken together.
      body.on('data', (piece: Buffer) => {
        if (pieces.push(piece) === 1) queueMicrotask(() => step(write));
      });
      body.on('end', () =>
        step(() => {
          write();
          if (stream.done) return;
          stream.end();
          for (const part of stream.take()) onPart(part);
          resolve();
        }),
      );
      body.on('error', (error: Error) => {
        step(write);
        fail(toNetworkError(error));
      });
    });
  }

  async #refusal({ statusCode, headers, body }: VendorResponse, signal: AbortSignal): Promise<Error> {
    let words = '';
    try {
      for await (const bytes of body as AsyncIterable<Buffer>) {
        words += bytes.toString();
        if (words.length >= LONGEST_REFUSAL) break;
      }
    } catch {
      // Cut within its words: the status says enough.
      signal.throwIfAborted();
    }
    return toRefusal(statusCode, headers, words, this.vendor.apiKey);
  }
}

/** What is left is dropped, so that the connection can be used again once the response has ended. */
function release(body: Body): void {
  const timer = setTimeout(() => body.destroy(), ENDING_MS).unref();
  body.once('close', () => clearTimeout(timer));
}
