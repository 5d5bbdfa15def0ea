import { MooringClient } from '../../bench/clients.ts';
import { promptOf, Receipt, type Ask } from '../../bench/tokens.ts';
import { pause } from '../site.ts';

/** Well within the ten seconds in which a ping must be answered. */
const PONG_MS = 2_000;
/** How long whoever comes back may take for all that it missed. */
const CATCH_UP_MS = 20_000;
const LOOK_MS = 50;

export interface Poured {
  /** Characters of answers that came, to those who read. */
  characters: number;
  /** Answers that did not reach their reader as a whole. */
  lost: number;
}

/**
 * A client that stops reading, as of a page that hangs. It goes on answering pings that it has not read, so that
 * nothing but what is held for it can end it.
 */
class DeafClient extends MooringClient {
  #pongs: NodeJS.Timeout | undefined;

  stopReading(): void {
    // Writing to a connection that the gateway has ended fails.
    this.socket?.on('error', () => undefined);
    this.socket?.pause();
    this.#pongs = setInterval(() => this.socket?.send('3', () => undefined), PONG_MS);
  }

  override close(): Promise<void> {
    clearInterval(this.#pongs);
    this.socket?.removeAllListeners('close');
    this.socket?.terminate();
    return Promise.resolve();
  }
}

/** Sessions that each have one client which reads and one which does not. */
export class Deaf {
  #pairs: { reader: MooringClient; deaf: DeafClient | undefined }[] = [];

  /** @param deaf false: nobody beside those who read, to compare with */
  async connect({ url, count, deaf }: { url: string; count: number; deaf: boolean }): Promise<void> {
    this.#pairs = Array.from({ length: count }, () => ({
      reader: new MooringClient(url),
      deaf: deaf ? new DeafClient(url) : undefined,
    }));
    for (const pair of this.#pairs) {
      await pair.reader.connect();
      if (!pair.deaf) continue;
      const { sessionId, key } = pair.reader;
      Object.assign(pair.deaf, { sessionId, key });
      await pair.deaf.connect();
      pair.deaf.stopReading();
    }
  }

  /** Has every session answered at full speed, again and again; resolves when the last answers have ended. */
  async pour({ ask, times }: { ask: Ask; times: number }): Promise<Poured> {
    const poured: Poured = { characters: 0, lost: 0 };
    const follow = async ({ reader }: { reader: MooringClient }): Promise<void> => {
      for (let time = 0; time < times; time += 1) {
        const receipt = new Receipt(ask);
        await reader.ask(promptOf(ask), (text) => receipt.take(text));
        poured.characters += receipt.received * (ask.length ?? 0);
        if (!receipt.whole) poured.lost += 1;
      }
    };
    await Promise.all(this.#pairs.map(follow));
    return poured;
  }

  /** They come back with their positions. @returns how many have not caught up with those who read, in the end */
  async recover(): Promise<number> {
    const pairs = this.#pairs.filter(({ deaf }) => deaf);
    for (const { deaf } of pairs) {
      await deaf?.close();
      await deaf?.connect();
    }
    const behind = (): number =>
      pairs.filter(({ reader, deaf }) => deaf?.position?.seq !== reader.position?.seq).length;
    // A long replay comes in pieces.
    for (let left = CATCH_UP_MS; behind() > 0 && left > 0; left -= LOOK_MS) await pause(LOOK_MS);
    return behind();
  }

  async leave(): Promise<void> {
    for (const { reader, deaf } of this.#pairs) await Promise.all([reader.close(), deaf?.close()]);
    this.#pairs = [];
  }
}
