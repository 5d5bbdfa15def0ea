import type { ChunkEvent, Position, UIMessage, UIMessageChunk } from '../../src/protocol.js';
import { AnswerFold } from '../../src/sessions/message.fold.js';
import type { Command } from '../../src/sessions/session.command.js';
import type { Ending, RunningTurn } from '../../src/sessions/session.js';
import type { Reading } from '../../src/sessions/session.store.js';
import type { Operation } from './operations.js';
import { ALICE, BOB, newSession, type StoreUnderTest } from './store.driver.js';

/** What someone who performs operations remembers of a session. */
interface Memory {
  id: string;
  fence: number;
  running?: { turn: RunningTurn; chunks: UIMessageChunk[] };
  position: Position;
  turns: string[];
}

/** Performs operations on one store, and gives what each answers, without what differs from run to run. */
export class Performer {
  readonly #memories: Memory[];
  readonly #names = new Map<string, string>();
  #turns = 0;

  constructor(
    public under: StoreUnderTest,
    ids: string[],
  ) {
    this.#memories = ids.map((id) => ({ id, fence: 0, turns: [], position: { epoch: '', seq: 0 } }));
  }

  async start(): Promise<void> {
    for (const { id } of this.#memories) await this.under.store.open(id, () => newSession());
  }

  /** Whoever ran turns is gone. */
  forgetFences(): void {
    for (const memory of this.#memories) {
      memory.fence = 0;
      memory.running = undefined;
    }
  }

  async perform(operation: Operation): Promise<string> {
    const memory = this.#memories[operation.session];
    if (!memory) throw new Error('no such session');
    return this.nameless(await this.#perform(operation, memory));
  }

  /** JSON with random ids replaced by when they appeared, fences by nothing. */
  nameless(value: unknown): string {
    return JSON.stringify(value ?? null, sortedKeys).replace(
      /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<="epoch":")[0-9a-f]{12}/g,
      (name) => {
        const known = this.#names.get(name) ?? `name ${this.#names.size}`;
        this.#names.set(name, known);
        return known;
      },
    );
  }

  async #perform(operation: Operation, memory: Memory): Promise<unknown> {
    const { store, lease, feed, now, elapse } = this.under;
    const { id } = memory;
    switch (operation.do) {
      case 'open':
        return store.open(id, operation.create ? () => newSession() : undefined);
      case 'claim': {
        const fence = await lease.claim(id);
        memory.fence = fence ?? memory.fence;
        return fence !== undefined;
      }
      case 'next':
        return this.#next(memory, operation.stale ? memory.fence - 1 : memory.fence);
      case 'say':
        return this.#append(
          memory,
          operation.deltas.map((delta) => ({ type: 'text-delta', id: 'text', delta })),
          undefined,
          operation.stale ? memory.fence - 1 : memory.fence,
        );
      case 'end':
        return this.#append(memory, [{ type: 'text-end', id: 'text' }], operation.ending, memory.fence);
      case 'release':
        return lease.release(id, memory.fence);
      case 'subscribe':
        return operation.on ? feed.subscribe(id) : feed.unsubscribe(id);
      case 'read': {
        const { epoch, seq } = memory.position;
        const epochAsked = operation.otherEpoch ? 'another' : epoch;
        const position =
          operation.back === undefined
            ? undefined
            : { epoch: epochAsked, seq: Math.max(0, seq + 2 - operation.back) };
        const reading = await store.read(id, position);
        if (reading) memory.position = reading.position;
        return reading;
      }
      case 'messages': {
        const { before, limit, maxBytes, begun } = operation;
        return store.messages(id, {
          before: before === undefined ? undefined : `message ${before}`,
          limit,
          maxBytes,
          ...(begun ? { begun } : {}),
        });
      }
      case 'list': {
        const { state, idleMs } = operation;
        if (idleMs === undefined) return store.list({ state, limit: 10 });
        return store.list({
          idleBefore: { withMessages: now() - idleMs, empty: now() - idleMs / 2 },
          limit: 10,
        });
      }
      case 'due':
        return (await lease.due()).sort();
      case 'elapse':
        return elapse(operation.ms);
      default:
        return store.accept(id, this.#command(operation, memory));
    }
  }

  #command(
    operation: Extract<Operation, { do: 'send' | 'retry' | 'cancel' | 'end-waiting' | 'switch' | 'close' }>,
    memory: Memory,
  ): Command {
    const turnId = `turn ${(this.#turns += 1)}`;
    switch (operation.do) {
      case 'send': {
        memory.turns.push(turnId);
        const { whenBusy, admit, text } = operation;
        const messageId = `message ${operation.message}`;
        return { kind: 'send', messageId, text: `text ${text}`, digest: `${text}`, whenBusy, turnId, admit };
      }
      case 'retry': {
        memory.turns.push(turnId);
        const messageId = operation.message === undefined ? undefined : `message ${operation.message}`;
        const text = operation.text === undefined ? undefined : `other ${operation.text}`;
        const digest = `${messageId} ${text}`;
        return {
          kind: 'retry',
          retryId: `retry ${operation.retry}`,
          messageId,
          text,
          digest,
          turnId,
          admit: true,
        };
      }
      case 'cancel':
        return {
          kind: 'cancel',
          turnId: operation.turn === undefined ? undefined : memory.turns[operation.turn],
        };
      case 'end-waiting':
        return { kind: 'end-waiting', reason: 'detached' };
      case 'switch':
        return { kind: 'switch', agent: operation.bob ? BOB : ALICE };
      case 'close': {
        const { expired, unlessActiveMs } = operation;
        const state = expired ? 'expired' : 'closed';
        const unlessActiveSince =
          unlessActiveMs === undefined ? undefined : this.under.now() - unlessActiveMs;
        return { kind: 'close', state, unlessActiveSince };
      }
    }
  }

  async #next(memory: Memory, fence: number): Promise<unknown> {
    const next = await this.under.lease.next(memory.id, fence);
    if (next.kind === 'turn' || next.kind === 'abandoned') {
      const events = next.kind === 'abandoned' ? next.events : [];
      const chunks = events.flatMap((event) =>
        event.type === 'chunk' && event.turnId === next.turn.turnId ? [event.chunk] : [],
      );
      memory.running = { turn: next.turn, chunks };
      if (chunks.length === 0) {
        const start: UIMessageChunk = { type: 'start', messageId: `answer of ${next.turn.turnId}` };
        await this.#append(memory, [start, { type: 'text-start', id: 'text' }], undefined, fence);
      }
    }
    return next;
  }

  async #append(
    memory: Memory,
    chunks: UIMessageChunk[],
    ending: Ending | undefined,
    fence: number,
  ): Promise<unknown> {
    const { running } = memory;
    if (!running) return 'nothing runs';
    const { turnId } = running.turn;
    const all = running.chunks.concat(chunks);
    const entries = chunks.map((chunk): ChunkEvent => ({ type: 'chunk', turnId, chunk }));
    const end = ending && { ending, answer: folded(all) };
    const appended = await this.under.store.append(memory.id, fence, entries, end);
    if (appended.kind === 'appended') running.chunks = all;
    if (appended.kind === 'appended' && ending) memory.running = undefined;
    return appended;
  }

  /** What a client that has seen nothing, or all before, is shown. */
  read(session: number, position?: Position): Promise<Reading | undefined> {
    const memory = this.#memories[session];
    if (!memory) throw new Error('no such session');
    return this.under.store.read(memory.id, position);
  }
}

function folded(chunks: readonly UIMessageChunk[]): UIMessage {
  const fold = new AnswerFold();
  for (const chunk of chunks) fold.apply(chunk);
  return fold.message;
}

/** For JSON.stringify: equal values give equal text. */
function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
