import { setPriority } from 'node:os';
import { MooringClient } from '../../bench/clients.ts';
import { quantile } from '../../bench/stats.ts';

/** Times in milliseconds. */
export interface Arrived {
  connected: number;
  /** How many failed, by what they were told. */
  failures: Record<string, number>;
  /** Until the last of them had its session. */
  ms: number;
  p50: number;
  p99: number;
}

/** Clients have machines of their own: where they share the gateway's, what they do waits for what it does. */
const PRIORITY = 15;

/** Many who come in the same moment, each for a session of its own. */
export class Crowd {
  #clients: MooringClient[] = [];

  async arrive({ url, count }: { url: string; count: number }): Promise<Arrived> {
    setPriority(PRIORITY);
    this.#clients = Array.from({ length: count }, () => new MooringClient(url));
    const begin = performance.now();
    const times: number[] = [];
    const failures: Record<string, number> = {};
    const come = async (client: MooringClient): Promise<void> => {
      try {
        await client.connect();
        times.push(performance.now() - begin);
      } catch (error) {
        const { message } = error as Error;
        failures[message] = (failures[message] ?? 0) + 1;
      }
    };
    await Promise.all(this.#clients.map(come));
    return {
      connected: times.length,
      failures,
      ms: performance.now() - begin,
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
    };
  }

  async leave(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    this.#clients = [];
  }
}
