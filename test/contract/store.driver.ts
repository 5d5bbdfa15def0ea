import { randomUUID } from 'node:crypto';
import type {
  ChunkEvent,
  EventPacket,
  Position,
  UIMessage,
  UIMessageChunk,
  Usage,
} from '../../src/protocol.js';
import { AnswerFold } from '../../src/sessions/message.fold.js';
import type { PinnedAgent } from '../../src/sessions/pinned-agent.js';
import type { Command, Outcome, SendCommand } from '../../src/sessions/session.command.js';
import type { Ending, Owner, RunningTurn } from '../../src/sessions/session.js';
import type { SessionFeed } from '../../src/sessions/session.feed.js';
import type {
  Appended,
  FoundSession,
  MessageQuery,
  NewSession,
  Reading,
  SessionStore,
} from '../../src/sessions/session.store.js';
import type { NextTurn, TurnLease } from '../../src/sessions/turn.lease.js';

/** One engine behind the three ports, and its time. */
export interface StoreUnderTest {
  store: SessionStore;
  lease: TurnLease;
  feed: SessionFeed;
  /** How long the events of an ended turn can be replayed. */
  resumeWindowMs: number;
  /** Epoch milliseconds, as the store sees them. */
  now(): number;
  /** Lets time pass, and the engine's maintenance see it. */
  elapse(ms: number): Promise<void>;
  close(): Promise<void>;
}

export function pinned(id: string): PinnedAgent {
  return { id, hash: `hash of ${id}`, name: id, description: `${id}.`, tools: [], persona: `You are ${id}.` };
}

export const ALICE = pinned('alice');
export const BOB = pinned('bob');
export const OWNER: Owner = { kind: 'key', keyHash: 'a'.repeat(64) };

export function newSession(values: Partial<NewSession> = {}): NewSession {
  return { owner: OWNER, agent: ALICE, ...values };
}

/** A turn that was begun, with what its answer is so far. */
export interface BegunTurn {
  fence: number;
  turn: RunningTurn;
  fold: AnswerFold;
}

/** One session, and what a frontend and an agent do to it. */
export class SessionDriver {
  readonly packets: EventPacket[] = [];

  private constructor(
    readonly under: StoreUnderTest,
    readonly sessionId: string,
  ) {}

  static async create(under: StoreUnderTest, values?: Partial<NewSession>): Promise<SessionDriver> {
    const driver = new SessionDriver(under, randomUUID());
    const found = await under.store.open(driver.sessionId, () => newSession(values));
    if (!found?.created) throw new Error('the session was not made');
    return driver;
  }

  /** A session that is there already. */
  static of(under: StoreUnderTest, sessionId: string): SessionDriver {
    return new SessionDriver(under, sessionId);
  }

  /** Subscribes and keeps what is delivered. An engine has one listener: the last session's. */
  async attach(): Promise<this> {
    this.under.feed.onEvents((packet) => {
      if (packet.sessionId === this.sessionId) this.packets.push(packet);
    });
    await this.under.feed.subscribe(this.sessionId);
    return this;
  }

  detach(): Promise<void> {
    return this.under.feed.unsubscribe(this.sessionId);
  }

  open(create?: () => NewSession): Promise<FoundSession | undefined> {
    return this.under.store.open(this.sessionId, create);
  }

  accept(command: Command): Promise<Outcome> {
    return this.under.store.accept(this.sessionId, command);
  }

  send(messageId: string, values: Partial<SendCommand> = {}): Promise<Outcome> {
    const text = values.text ?? `text of ${messageId}`;
    const turnId = `turn of ${messageId}`;
    return this.accept({
      kind: 'send',
      messageId,
      digest: text,
      whenBusy: 'enqueue',
      turnId,
      admit: true,
      ...values,
      text,
    });
  }

  retry(
    retryId: string,
    values: { messageId?: string; text?: string; admit?: boolean; tokensPerDay?: number } = {},
  ): Promise<Outcome> {
    const digest = JSON.stringify([values.messageId, values.text]);
    return this.accept({
      kind: 'retry',
      retryId,
      turnId: `turn of retry ${retryId}`,
      digest,
      admit: true,
      ...values,
    });
  }

  async claim(): Promise<number> {
    const fence = await this.under.lease.claim(this.sessionId);
    if (fence === undefined) throw new Error('somebody else has the lease');
    return fence;
  }

  next(fence: number): Promise<NextTurn> {
    return this.under.lease.next(this.sessionId, fence);
  }

  /** Claims, unless the fence is given, and begins the next turn with the first chunks of its answer. */
  async begin(held?: number): Promise<BegunTurn> {
    const fence = held ?? (await this.claim());
    const next = await this.next(fence);
    if (next.kind !== 'turn') throw new Error(`no turn began: ${next.kind}`);
    const begun: BegunTurn = { fence, turn: next.turn, fold: new AnswerFold() };
    await this.append(begun, [
      { type: 'start', messageId: `answer of ${next.turn.turnId}` },
      { type: 'text-start', id: 'text' },
    ]);
    return begun;
  }

  append(begun: BegunTurn, chunks: UIMessageChunk[], ending?: Ending, usage?: Usage): Promise<Appended> {
    for (const chunk of chunks) begun.fold.apply(chunk);
    const entries = chunks.map((chunk): ChunkEvent => ({ type: 'chunk', turnId: begun.turn.turnId, chunk }));
    const end = ending && { ending, answer: structuredClone(begun.fold.message), ...(usage && { usage }) };
    return this.under.store.append(this.sessionId, begun.fence, entries, end);
  }

  say(begun: BegunTurn, ...deltas: string[]): Promise<Appended> {
    return this.append(
      begun,
      deltas.map((delta) => ({ type: 'text-delta', id: 'text', delta })),
    );
  }

  end(
    begun: BegunTurn,
    ending: Ending = { state: 'completed', finishReason: 'stop' },
    usage?: Usage,
  ): Promise<Appended> {
    return this.append(begun, [{ type: 'text-end', id: 'text' }], ending, usage);
  }

  /** Sends a message and lets it be answered; gives back the lease. */
  async turn(messageId: string, answer = `answer to ${messageId}`): Promise<void> {
    await this.send(messageId);
    const begun = await this.begin();
    await this.say(begun, answer);
    await this.end(begun);
    await this.next(begun.fence);
  }

  async read(position?: Position): Promise<Reading> {
    const reading = await this.under.store.read(this.sessionId, position);
    if (!reading) throw new Error('there is no such session');
    return reading;
  }

  async position(): Promise<Position> {
    return (await this.read()).position;
  }

  async messages(query: Partial<MessageQuery> = {}): Promise<UIMessage[]> {
    const page = await this.under.store.messages(this.sessionId, { limit: 1000, ...query });
    if (!page) throw new Error('there is no such message');
    return page.messages;
  }

  async messageIds(query: Partial<MessageQuery> = {}): Promise<string[]> {
    return (await this.messages(query)).map(({ id }) => id);
  }
}

/** An answer's id stands for it; those of turns that never ran have ids of the store's choosing. */
export function idsOf(messages: readonly UIMessage[]): string[] {
  return messages.map(({ id, role, metadata }) =>
    role === 'user' || id.startsWith('answer of') ? id : `unrun ${metadata?.status}`,
  );
}
