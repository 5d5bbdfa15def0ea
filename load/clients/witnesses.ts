import { MooringClient } from '../../bench/clients.ts';
import { promptOf, wholeText, type Ask } from '../../bench/tokens.ts';
import type { EventPacket, OpenedSession } from '../../src/protocol.js';

/** How the answers ended for those who watched them. */
export interface Ended {
  completed: number;
  /** `interrupted`, by `draining`. */
  interrupted: number;
  /** Whose connection ended before the answer did. */
  cut: number;
  /** Clients that were sent `server:draining`. */
  told: number;
  graceMs: number | undefined;
  failures: string[];
}

export interface CameBack {
  /** Clients whose position the log still covered. */
  recovered: number;
  /** Sessions of which what was seen and what was replayed is not what is stored. */
  different: number;
  /** Sessions whose stored answer is not how the model's answer begins; of one that completed, all of it. */
  altered: number;
  /** Tokens of all stored answers. */
  storedTokens: number;
  examples: string[];
}

type Outcome = 'open' | 'completed' | 'interrupted' | 'cut';

/** Keeps the text of an answer as it is shown to it, and how it ended. */
class Witness extends MooringClient {
  seen = '';
  outcome: Outcome = 'open';
  graceMs: number | undefined;
  asked: Ask = { tokens: 0, rate: 0 };
  failure: string | undefined;

  watch(ask: Ask, begun: () => void): Promise<void> {
    this.asked = ask;
    return this.ask(promptOf(ask), begun).then(
      () => undefined,
      (error: Error) => {
        if (this.outcome === 'open') this.outcome = 'cut';
        this.failure = error.message;
        begun();
      },
    );
  }

  protected override event(name: string, payload: unknown): void {
    if (name === 'server:draining') ({ graceMs: this.graceMs } = payload as { graceMs: number });
    super.event(name, payload);
  }

  /** However it ends, it is an end that is looked at later; only a connection that breaks is a failure. */
  protected override apply(events: EventPacket['events']): void {
    for (const event of events) {
      if (event.type === 'chunk' && event.chunk.type === 'text-delta') {
        this.seen += event.chunk.delta;
        this.running?.onText(event.chunk.delta);
      }
      if (event.type !== 'turn' || event.state === 'running' || event.state === 'queued') continue;
      if (event.state === 'completed') this.outcome = 'completed';
      else if (event.reason === 'draining') this.outcome = 'interrupted';
      else this.failure = JSON.stringify(event);
      this.end();
    }
  }
}

/** Clients that watch an answer each while their gateway is stopped, and come back to the next one. */
export class Witnesses {
  #witnesses: Witness[] = [];
  #ends: Promise<void>[] = [];
  /** One that is connected and has nothing running. */
  #idle: MooringClient | undefined;

  /** Every second one asks for the second answer. Resolves when all have had a token. */
  async ask({ url, count, asks }: { url: string; count: number; asks: [Ask, Ask] }): Promise<void> {
    this.#witnesses = Array.from({ length: count }, () => new Witness(url));
    this.#idle = new MooringClient(url);
    for (const client of [...this.#witnesses, this.#idle]) await client.connect();
    const begun = this.#witnesses.map(
      (witness, index) =>
        new Promise<void>((resolve) => this.#ends.push(witness.watch(asks[(index % 2) as 0 | 1], resolve))),
    );
    await Promise.all(begun);
  }

  /** Somebody new, and a new turn. @returns their refusals; undefined: it was let in, it was begun */
  async tryAnew({ url }: { url: string }): Promise<{ connection?: string; turn?: string }> {
    const client = new MooringClient(url);
    const [connection, turn] = await Promise.all([
      refusalOf(client.connect()),
      refusalOf(this.#idle?.ask(promptOf({ tokens: 1, rate: 0 }), () => undefined)),
    ]);
    await Promise.all([client.close(), this.#idle?.close()]);
    return { connection, turn };
  }

  /** Resolves when every answer has ended, or its connection. */
  async ended(): Promise<Ended> {
    await Promise.all(this.#ends.splice(0));
    const having = (outcome: Outcome): number =>
      this.#witnesses.filter((witness) => witness.outcome === outcome).length;
    const cut = this.#witnesses.filter(({ outcome }) => outcome === 'cut');
    return {
      completed: having('completed'),
      interrupted: having('interrupted'),
      cut: cut.length,
      told: this.#witnesses.filter(({ graceMs }) => graceMs !== undefined).length,
      graceMs: this.#witnesses[0]?.graceMs,
      failures: cut.slice(0, 3).map(({ failure }) => String(failure)),
    };
  }

  /** Each comes back with its position, and beside it somebody who knows nothing: both must have the same. */
  async comeBack({ url }: { url: string }): Promise<CameBack> {
    const result: CameBack = { recovered: 0, different: 0, altered: 0, storedTokens: 0, examples: [] };
    for (const witness of this.#witnesses) {
      await witness.close();
      Object.assign(witness, { url });
      await witness.connect();
      if (witness.lastOpened?.recovered) result.recovered += 1;
      const newcomer = new MooringClient(url);
      Object.assign(newcomer, { sessionId: witness.sessionId, key: witness.key });
      await newcomer.connect();
      const stored = answerOf(newcomer.lastOpened);
      result.storedTokens += stored.split(' ').length - 1;
      const whole = wholeText(witness.asked.tokens);
      const isKept = witness.outcome === 'completed' ? stored === whole : whole.startsWith(stored);
      if (stored !== witness.seen) result.different += 1;
      if (!isKept) result.altered += 1;
      if ((!isKept || stored !== witness.seen) && result.examples.length < 3)
        result.examples.push(
          `${witness.outcome}: saw …${witness.seen.slice(-40)}, stored …${stored.slice(-40)}`,
        );
      await Promise.all([witness.close(), newcomer.close()]);
    }
    return result;
  }
}

function answerOf(opened: OpenedSession | undefined): string {
  const parts = opened?.messages.findLast(({ role }) => role === 'assistant')?.parts ?? [];
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

function refusalOf(act: Promise<void> | undefined): Promise<string | undefined> {
  return act?.then(() => undefined, (error: Error) => error.message) ?? Promise.resolve(undefined); // prettier-ignore
}
