/** Clients that are cut off in the middle of an answer and come back, again and again. */
import { MooringClient } from './clients.ts';
import type { Position } from '../src/protocol.js';
import { promptOf, Receipt, type Ask } from './tokens.ts';

export interface ResumesOrder {
  /** A client takes the next one each time that it comes back. */
  urls: readonly string[];
  sessions: number;
  ask: Ask;
  /** How long each client is gone, and then stays, in milliseconds. */
  pauseMs: number;
}

export interface Resumed {
  /** From the opening of the connection until all missed tokens were there, each resume's, in milliseconds. */
  ms: number[];
  /** The same from the handshake on, without the transport. */
  handshakeMs: number[];
  /** Tokens that were missing, each resume's. */
  missed: number[];
  /** Frames that the client had to send until it was caught up, the most. */
  roundTrips: number;
  /** Answers that were not whole in the end. */
  lost: number;
}

interface Mark {
  position: Position;
  tokens: number;
}

export async function resumes({ urls, sessions, ask, pauseMs }: ResumesOrder): Promise<Resumed> {
  const result: Resumed = { ms: [], handshakeMs: [], missed: [], roundTrips: 0, lost: 0 };
  await Promise.all(
    Array.from({ length: sessions }, async (_, index) => {
      await pause((pauseMs * index) / sessions);
      await one(index, urls, ask, pauseMs, result);
    }),
  );
  return result;
}

async function one(
  index: number,
  urls: readonly string[],
  ask: Ask,
  pauseMs: number,
  result: Resumed,
): Promise<void> {
  const client = new MooringClient(urls[index % urls.length] ?? '');
  const receipt = new Receipt(ask);
  const marks: Mark[] = [];
  await client.connect();
  let over = false;
  const answered = client.ask(promptOf(ask), (text) => receipt.take(text)).finally(() => (over = true));
  answered.catch(() => undefined);
  for (let turn = 0; !over; turn += 1) {
    await pause(pauseMs);
    if (client.position) marks.push({ position: client.position, tokens: receipt.received });
    if (over || receipt.received < ask.tokens / 2 || receipt.received > ask.tokens * 0.95) continue;
    await client.close();
    const seen = receipt.received;
    // Anywhere in the answer so far, so that what is missed is now little and now much.
    const mark = marks[Math.floor(marks.length * ((turn * 0.618) % 1))];
    if (!mark || over) continue;
    client.position = mark.position;
    receipt.received = mark.tokens;
    client.sent = 0;
    client.url = urls[(index + turn) % urls.length] ?? '';
    const begin = performance.now();
    await client.connect();
    result.ms.push(performance.now() - begin);
    result.handshakeMs.push(client.handshakeMs);
    result.missed.push(receipt.received - mark.tokens);
    result.roundTrips = Math.max(result.roundTrips, client.sent);
    if (!client.lastOpened?.recovered || receipt.received < seen)
      throw new Error(`not caught up: ${receipt.received} of ${seen} tokens`);
  }
  await answered;
  if (!receipt.whole) result.lost += 1;
  await client.close();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
