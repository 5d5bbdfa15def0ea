import { MooringClient } from '../../bench/clients.ts';
import { quantile } from '../../bench/stats.ts';
import { promptOf, Receipt, type Ask } from '../../bench/tokens.ts';

/** What came since the last look. Times in milliseconds, from a token's sending upstream to its receipt. */
export interface Window {
  tokens: number;
  p50: number;
  p99: number;
  max: number;
}

export interface StreamsEnd {
  answers: number;
  /** Answers that lacked tokens, or had them twice, altered or out of order. */
  lost: number;
  /** Why clients stopped before they were told to. */
  failures: string[];
}

/** Clients that always have an answer streamed at them, one after the other. */
export class Streams {
  #clients: MooringClient[] = [];
  #work: Promise<void>[] = [];
  #delays: number[] = [];
  #end: StreamsEnd = { answers: 0, lost: 0, failures: [] };
  #stopping = false;

  /** Resolves when all are connected and have had a token. */
  async begin({ url, count, ask }: { url: string; count: number; ask: Ask }): Promise<void> {
    this.#stopping = false;
    this.#end = { answers: 0, lost: 0, failures: [] };
    this.#clients = Array.from({ length: count }, () => new MooringClient(url));
    for (const client of this.#clients) await client.connect();
    const begun = this.#clients.map(
      (client) => new Promise<void>((resolve) => this.#work.push(this.#follow(client, ask, resolve))),
    );
    await Promise.all(begun);
    this.#delays = [];
  }

  window(): Window {
    const delays = this.#delays;
    this.#delays = [];
    return {
      tokens: delays.length,
      p50: quantile(delays, 0.5) / 1_000,
      p99: quantile(delays, 0.99) / 1_000,
      max: quantile(delays, 1) / 1_000,
    };
  }

  /** Resolves when the answers that run have ended. */
  async end(): Promise<StreamsEnd> {
    this.#stopping = true;
    await Promise.all(this.#work);
    this.#work = [];
    await Promise.all(this.#clients.map((client) => client.close()));
    return this.#end;
  }

  async #follow(client: MooringClient, ask: Ask, begun: () => void): Promise<void> {
    try {
      while (!this.#stopping) {
        const receipt = new Receipt(ask, (micros) => this.#delays.push(micros));
        await client.ask(promptOf(ask), (text) => {
          receipt.take(text);
          begun();
        });
        this.#end.answers += 1;
        if (!receipt.whole) this.#end.lost += 1;
      }
    } catch (error) {
      this.#end.failures.push((error as Error).message);
      begun();
    }
  }
}
