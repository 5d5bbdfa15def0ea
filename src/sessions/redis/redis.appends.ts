import { Injectable } from '@nestjs/common';
import { setTimeout } from 'node:timers/promises';
import type { EventPacket, LogEntry } from '../../protocol.js';
import { StoreUnavailable, type Appended } from '../session.store.js';
import { RedisLeases, type RedisLease } from './redis.leases.js';
import { numbered } from './redis.record.js';
import { RedisSessions, type Word } from './redis.sessions.js';

const ASK_AGAIN_MS = 100;
/** What one script takes of them: Redis does nothing else meanwhile. */
const MOST_AT_ONCE = 64;

interface Pending {
  lease: RedisLease;
  entries: LogEntry[];
  settle: (appended: Appended) => void;
}

type Reply = 'deposed' | 'lost' | readonly [from: number, epoch: string, nodes?: string];

/**
 * Appends to running turns. Those that come in one go share a script. What became of one is always found out, however
 * long Redis does not answer: each is numbered, so that asked again it is not made twice, and a number that is missing
 * tells that Redis has lost what came before.
 */
@Injectable()
export class RedisAppends {
  readonly #pending = new Map<number, Pending[]>();

  constructor(
    private readonly sessions: RedisSessions,
    private readonly leases: RedisLeases,
  ) {}

  append(lease: RedisLease, entries: LogEntry[]): Promise<Appended> {
    const { partition } = this.sessions.keysOf(lease.sessionId);
    return new Promise((settle) => {
      const pending = this.#pending.get(partition);
      if (pending) return void pending.push({ lease, entries, settle });
      this.#pending.set(partition, [{ lease, entries, settle }]);
      queueMicrotask(() => this.#flush(partition));
    });
  }

  #flush(partition: number): void {
    const pending = this.#pending.get(partition) ?? [];
    this.#pending.delete(partition);
    for (let begin = 0; begin < pending.length; begin += MOST_AT_ONCE) {
      void this.#send(partition, pending.slice(begin, begin + MOST_AT_ONCE));
    }
  }

  async #send(partition: number, batch: Pending[]): Promise<void> {
    const keys: string[] = [];
    const words: Word[] = [];
    for (const { lease, entries } of batch) {
      const { record, log } = this.sessions.keysOf(lease.sessionId);
      keys.push(record, log);
      words.push(lease.sessionId, lease.fence, lease.appends + 1, entries.length, JSON.stringify(entries));
    }
    const replies = await this.#ask(partition, keys, words);
    await Promise.all(batch.map((each, index) => this.#settle(each, replies?.[index] ?? 'deposed')));
  }

  /** @returns undefined where this process is about to end */
  async #ask(partition: number, keys: string[], words: Word[]): Promise<Reply[] | undefined> {
    for (;;) {
      try {
        const reply = await this.sessions.link.onPartition('append', partition, keys, words);
        return reply[1] as Reply[];
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        if (this.sessions.link.closed) return undefined;
        this.sessions.repeated += keys.length / 2;
        await setTimeout(ASK_AGAIN_MS);
      }
    }
  }

  async #settle({ lease, entries, settle }: Pending, reply: Reply): Promise<void> {
    if (typeof reply !== 'string') {
      const [from, epoch] = reply;
      const events = numbered(entries, from);
      lease.appends += 1;
      lease.log.push(...events);
      const packet: EventPacket = {
        sessionId: lease.sessionId,
        epoch,
        from,
        to: from + events.length,
        events,
      };
      settle({ kind: 'appended', packet });
      this.sessions.publish(packet);
      return;
    }
    if (reply === 'lost' && (await this.#restored(lease)))
      return void settle(await this.append(lease, entries));
    this.leases.forget(lease);
    settle({ kind: 'deposed' });
  }

  async #restored(lease: RedisLease): Promise<boolean> {
    for (;;) {
      try {
        return await this.leases.restore(lease);
      } catch (error) {
        if (!(error instanceof StoreUnavailable) || this.sessions.link.closed) return false;
        await setTimeout(ASK_AGAIN_MS);
      }
    }
  }
}
