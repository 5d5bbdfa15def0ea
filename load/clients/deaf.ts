import { MooringClient } from '../../bench/clients.ts';
import { promptOf, Receipt, type Ask } from '../../bench/tokens.ts';

/** Well within the ten seconds in which a ping must be answered. */
const PONG_MS = 2_000;

export interface Poured {
  /** Characters of answers that were asked for and came, to those who read. */
  characters: number;
  /** Answers that did not reach their reader as a whole. */
  lost: number;
  /** Deaf sockets that the gateway had closed by then. */
  closed: number;
}

/**
 * A client that stops reading, as of a page that hangs. It goes on answering pings that it has not read, so that
 * nothing but what is held for it can end it.
 */
class DeafClient extends MooringClient {
  closed = false;
  #pongs: NodeJS.Timeout | undefined;

  stopReading(): void {
    // One that does not read is not told of its end either; writing to it is what fails.
    this.socket?.on('error', () => undefined);
    this.socket?.pause();
    this.#pongs = setInterval(() => this.socket?.send('3', (error) => error && this.#ended()), PONG_MS);
  }

  #ended(): void {
    this.closed = true;
    clearInterval(this.#pongs);
  }

  override close(): Promise<void> {
    clearInterval(this.#pongs);
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

  /** Has every session answered at full speed; resolves when all answers have ended. */
  async pour({ ask }: { ask: Ask }): Promise<Poured> {
    const receipts = await Promise.all(
      this.#pairs.map(async ({ reader }) => {
        const receipt = new Receipt(ask);
        await reader.ask(promptOf(ask), (text) => receipt.take(text));
        return receipt;
      }),
    );
    const lost = receipts.filter(({ whole }) => !whole).length;
    const closed = this.#pairs.filter(({ deaf }) => deaf?.closed).length;
    const received = receipts.reduce((sum, receipt) => sum + receipt.received, 0);
    for (const { reader, deaf } of this.#pairs) await Promise.all([reader.close(), deaf?.close()]);
    return { characters: received * (ask.length ?? 0), lost, closed };
  }
}
