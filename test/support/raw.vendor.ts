import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { OpenAiMessage } from './openai.server.js';

/** What is done to the connection, step after step. `hang` waits until the other side lets go. */
export type VendorStep = Buffer | 'yield' | 'pause' | 'end' | 'reset' | 'hang';

export interface VendorRequest {
  /** None where the request had no body. */
  messages: OpenAiMessage[];
  /** The last user message's text. */
  asked: string;
  /** Aborted once the gateway has let go of the connection. */
  closed: AbortSignal;
}

export interface RawVendor {
  /** With `/v1`: an OPENAI_BASE_URL. */
  url: string;
  readonly connections: number;
  stop(): Promise<void>;
}

const PAUSE_MS = 5;

/** A model server that writes its answers byte by byte, so that it can also write them wrongly. */
export async function startRawVendor(
  answer: (request: VendorRequest) => Iterable<VendorStep> | AsyncIterable<VendorStep>,
): Promise<RawVendor> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const closed = new AbortController();
    socket.once('close', () => {
      sockets.delete(socket);
      closed.abort();
    });
    socket.on('error', () => undefined);
    let received = Buffer.alloc(0);
    // One answer after another: what one does last must not hit the next on the same connection.
    let performed = Promise.resolve();
    socket.on('data', (piece: Buffer) => {
      received = Buffer.concat([received, piece]);
      for (let taken = takeRequest(received); taken; taken = takeRequest(received)) {
        const { body, rest } = taken;
        received = rest;
        performed = performed.then(() => {
          if (!socket.writable) return undefined;
          return perform(socket, answer(requestOf(body, closed.signal)), closed.signal);
        });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    get connections() {
      return sockets.size;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function takeRequest(received: Buffer): { body: string; rest: Buffer<ArrayBuffer> } | undefined {
  const head = received.indexOf('\r\n\r\n');
  if (head < 0) return undefined;
  const length = Number(/content-length: (\d+)/i.exec(received.subarray(0, head).toString())?.[1] ?? 0);
  const end = head + 4 + length;
  if (received.length < end) return undefined;
  return { body: received.subarray(head + 4, end).toString(), rest: Buffer.from(received.subarray(end)) };
}

function requestOf(body: string, closed: AbortSignal): VendorRequest {
  const { messages } = JSON.parse(body || '{"messages":[]}') as { messages: OpenAiMessage[] };
  const { content } = messages.findLast(({ role }) => role === 'user') ?? {};
  return { messages, asked: typeof content === 'string' ? content : JSON.stringify(content), closed };
}

async function perform(
  socket: Socket,
  steps: Iterable<VendorStep> | AsyncIterable<VendorStep>,
  closed: AbortSignal,
): Promise<void> {
  for await (const step of steps) {
    if (closed.aborted) return;
    if (Buffer.isBuffer(step)) socket.write(step);
    else if (step === 'yield') await new Promise(setImmediate);
    else if (step === 'pause') await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    else if (step === 'end') return void socket.end();
    else if (step === 'reset') return void socket.resetAndDestroy();
    else return;
  }
}
