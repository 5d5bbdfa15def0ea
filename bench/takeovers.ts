/** Clients whose node is killed in the middle of an answer, and who come back to another one. */
import { MooringClient } from './clients.ts';
import { promptOf, Receipt, type Ask } from './tokens.ts';

export interface TakeoversOrder {
  /** The one that is killed, and the one that is not. */
  urls: readonly [string, string];
  sessions: number;
  ask: Ask;
  /** How far the answers are when the node is killed. */
  afterMs: number;
}

/** Milliseconds from the end of each connection. */
export interface Takeovers {
  /** Until its client held on another node what it had held, and all that was stored since. */
  caughtUp: number[];
  /** Until its turn was known to have ended. */
  ended: number[];
  /** Answers that are not what was sent, as far as they go. */
  lost: number;
}

const RETRY_MS = 20;

/** Resolves once everybody is back and every turn has ended; the parent kills the node when it is told `amid`. */
export async function takeovers({ urls, sessions, ask, afterMs }: TakeoversOrder): Promise<Takeovers> {
  const result: Takeovers = { caughtUp: [], ended: [], lost: 0 };
  let streaming = 0;
  const all = Array.from({ length: sessions }, () =>
    one(urls, ask, result, () => {
      streaming += 1;
      if (streaming === sessions) setTimeout(() => process.send?.({ amid: true }), afterMs);
    }),
  );
  await Promise.all(all);
  return result;
}

async function one(
  [first, second]: readonly [string, string],
  ask: Ask,
  result: Takeovers,
  onStream: () => void,
): Promise<void> {
  const receipt = new Receipt(ask);
  const client = new MooringClient(first);
  await client.connect();
  let begun = false;
  const take = (text: string): void => {
    if (!begun) onStream();
    begun = true;
    receipt.take(text);
  };
  await client.ask(promptOf(ask), take).catch(() => undefined);
  const cutAt = performance.now();
  client.url = second;
  const before = client.lastOpened;
  let ended = client.waitForEnd(take);
  // One whose turn has ended otherwise than by itself fails as it is opened, and is open.
  while (
    !(await client.connect().then(
      () => true,
      () => client.lastOpened !== before,
    ))
  ) {
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    ended = client.waitForEnd(take);
  }
  result.caughtUp.push(performance.now() - cutAt);
  await ended;
  result.ended.push(performance.now() - cutAt);
  if (receipt.broken || receipt.received === 0) result.lost += 1;
  await client.close();
}
