import type { OpenedSession } from '../../src/protocol.js';
import { newCredentials, TestClient, textOf } from './client.js';
import type { ModelCall } from '../../src/testing/scripted.model.js';

/** A neighbour's messages begin with it; nobody else's do, and nobody else is ever sent it. */
export const SECRET = 'the-harbour-masters-secret';
const PIECES = 40;
const PIECE_MS = 4;

/** What the model answers a neighbour: enough to be in the middle of it at most times. */
export function neighbourAnswer(asked: string): string[] {
  return Array.from({ length: PIECES }, (_, index) => `${asked}/${index} `);
}

/** Streams the answer to a neighbour, piece by piece. */
export async function answerNeighbour(call: ModelCall): Promise<void> {
  call.begin();
  for (const piece of neighbourAnswer(call.asked)) {
    call.text(piece);
    await new Promise((resolve) => setTimeout(resolve, PIECE_MS));
  }
  call.finish();
}

/** A client that behaves, beside those that do not: it must not notice them. */
export class Neighbour {
  readonly credentials = newCredentials();
  turns = 0;
  #stopped = false;
  #work?: Promise<void>;

  private constructor(
    private readonly client: TestClient,
    private readonly name: string,
  ) {}

  /** @param url the gateway's; `transports` as of the client */
  static async start(
    url: string,
    name: string,
    transports?: ('websocket' | 'polling')[],
  ): Promise<Neighbour> {
    const client = new TestClient(url, { transports });
    const neighbour = new Neighbour(client, name);
    await client.connected();
    const opened = await client.open({ ...neighbour.credentials, create: true });
    neighbour.#work = neighbour.#talk(opened);
    // Whoever stops it hears of a failure.
    neighbour.#work.catch(() => undefined);
    return neighbour;
  }

  /** @throws Error where it was disturbed: an answer incomplete, a packet that does not follow its predecessor */
  async stop(): Promise<void> {
    this.#stopped = true;
    try {
      await this.#work;
    } finally {
      await this.client.close();
    }
    if (this.turns === 0) throw new Error(`the neighbour ${this.name} had no turn`);
  }

  async #talk(opened: OpenedSession): Promise<void> {
    const { sessionId } = opened;
    let { seq } = opened.position;
    const gone = new Promise<never>((_, reject) => {
      this.client.socket.once('disconnect', (why) => {
        reject(new Error(`the neighbour ${this.name} was disconnected: ${why}`));
      });
    });
    gone.catch(() => undefined);
    while (!this.#stopped) {
      const asked = `${SECRET} ${this.name} ${this.turns}`;
      const from = this.client.received.length;
      const { turnId } = await this.client.send(sessionId, asked);
      const ended = await Promise.race([this.client.turn('completed', turnId), gone]);
      const packets = this.client.received.slice(from);
      for (const packet of packets) {
        if (packet.from !== seq || packet.epoch !== opened.position.epoch)
          throw new Error(`the neighbour ${this.name} was sent ${packet.from} after ${seq}`);
        seq = packet.to;
      }
      const text = textOf(
        packets.flatMap(({ events }) => events),
        ended.turnId,
      );
      if (text !== neighbourAnswer(asked).join(''))
        throw new Error(`the neighbour ${this.name} was told: ${text}`);
      this.turns += 1;
      await new Promise((resolve) => setTimeout(resolve, 350));
    }
  }
}
