import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { decodeCursor, encodeCursor } from '../embedded/session.list.js';
import { isBusy, type Session } from '../session.js';
import {
  presenceOf,
  StoreUnavailable,
  type Census,
  type ListedSession,
  type ListQuery,
} from '../session.store.js';
import type { RedisKeys } from './redis.keys.js';
import { RedisLink } from './redis.link.js';
import { parse, type Body } from './redis.record.js';

/** For how long one session may be in the making, and how often whoever waits looks. */
const MAKING_MS = 2_000;
const MAKING_RETRY_MS = 10;
/** What is looked at beyond a page. */
const LOOK_AT = 100;

interface Ranked {
  sessionId: string;
  /** `updatedAt`, or since when it is idle; epoch milliseconds. */
  score: number;
}

/** So many sessions are looked up with one command. */
const SCORES_AT_ONCE = 1_000;

/** Sessions over all partitions: lists, numbers, accounts. */
@Injectable()
export class RedisList {
  readonly #keys: RedisKeys;

  constructor(private readonly link: RedisLink) {
    this.#keys = link.keys;
  }

  /** Asks every master. */
  async ping(): Promise<void> {
    await this.#each((partition) =>
      this.link.command((client) => client.exists(this.#keys.partition(partition).generation)),
    );
  }

  async census(): Promise<Census> {
    const counts = await this.#each(async (partition) => {
      const { all, attached, due } = this.#keys.partition(partition);
      const [total, open, busy, busyHere] = await this.link.command((client) =>
        Promise.all([
          client.zcard(all),
          client.scard(attached),
          client.zcard(due),
          client.zintercard(2, due, attached),
        ]),
      );
      const orphaned = busy - busyHere;
      return { attached: open, orphaned, detached: Math.max(0, total - open - orphaned) };
    });
    return counts.reduce((sum, each) => ({
      attached: sum.attached + each.attached,
      detached: sum.detached + each.detached,
      orphaned: sum.orphaned + each.orphaned,
    }));
  }

  async list(query: ListQuery): Promise<{ sessions: ListedSession[]; nextCursor?: string }> {
    const { subject, state, limit, idleBefore } = query;
    if (idleBefore) return { sessions: await this.#idle(idleBefore, limit) };
    const cursor = query.cursor === undefined ? undefined : decodeCursor(query.cursor);
    const after = cursor && { score: Date.parse(cursor.updatedAt), sessionId: cursor.sessionId };
    for (let most = limit + 1; ; most *= 4) {
      const pages = await this.#each((partition) => this.#ranked(partition, subject, state, after, most));
      const found = await this.#describe(mergedNewestFirst(pages));
      const sessions = found.filter((listed) => state === undefined || presenceOf(listed) === state);
      const last = sessions[limit - 1];
      if (last && sessions.length > limit) {
        return { sessions: sessions.slice(0, limit), nextCursor: encodeCursor(last) };
      }
      if (!pages.some(({ more }) => more)) return { sessions };
    }
  }

  /** What a subject has used on a day. */
  async tokensOf(subject: string, day: string): Promise<number> {
    const used = await this.#each((partition) =>
      this.link.command((client) => client.hget(this.#keys.spent(partition, subject), day)),
    );
    return used.reduce((sum, tokens) => sum + Number(tokens ?? 0), 0);
  }

  /** How many sessions a subject has in other partitions than that of this one. */
  async ownedElsewhere(subject: string, sessionId: string): Promise<number> {
    const { partition: own } = this.#keys.session(sessionId);
    const counts = await this.#each((partition) =>
      partition === own
        ? Promise.resolve(0)
        : this.link.command((client) => client.zcard(this.#keys.owned(partition, subject))),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /**
   * One session of a subject is made after the other, where its sessions lie in several partitions: each counts for the
   * next. Where it is one partition the script that makes a session counts by itself.
   * @throws StoreUnavailable
   */
  async alone<T>(subject: string, task: () => Promise<T>): Promise<T> {
    if (this.#keys.partitions === 1) return task();
    const key = this.#keys.making(subject);
    const mine = randomUUID();
    for (let waitedMs = 0; !(await this.#take(key, mine)); waitedMs += MAKING_RETRY_MS) {
      if (waitedMs > MAKING_MS)
        throw new StoreUnavailable('too many sessions are made for one owner at once');
      await setTimeout(MAKING_RETRY_MS);
    }
    try {
      return await task();
    } finally {
      // Where it cannot be given back now it goes by itself.
      await this.link.plain('unlock', [key], [mine]).catch(() => undefined);
    }
  }

  /** It goes by itself where whoever took it does not come back. */
  async #take(key: string, mine: string): Promise<boolean> {
    return (await this.link.command((client) => client.set(key, mine, 'PX', MAKING_MS, 'NX'))) === 'OK';
  }

  async #ranked(
    partition: number,
    subject: string | undefined,
    state: ListQuery['state'],
    after: Ranked | undefined,
    most: number,
  ): Promise<RankedPage> {
    const { all, attached, due } = this.#keys.partition(partition);
    if (subject === undefined && (state === 'attached' || state === 'orphaned')) {
      const ids = await this.link.command((client) =>
        state === 'attached' ? client.smembers(attached) : client.zrange(due, '0', '-1'),
      );
      const ranked: Ranked[] = [];
      for (let begin = 0; begin < ids.length; begin += SCORES_AT_ONCE) {
        const some = ids.slice(begin, begin + SCORES_AT_ONCE);
        const scores = await this.link.command((client) => client.zmscore(all, ...some));
        for (const [index, sessionId] of some.entries())
          ranked.push({ sessionId, score: Number(scores[index] ?? 0) });
      }
      return { ranked: ranked.filter((each) => isAfter(each, after)).sort(newestFirst), more: false };
    }
    const source = subject === undefined ? all : this.#keys.owned(partition, subject);
    const from = after ? String(after.score) : '+inf';
    // Those of the cursor's own moment come again; there are rarely many.
    const flat = await this.link.command((client) =>
      client.zrange(source, from, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, most + LOOK_AT, 'WITHSCORES'),
    );
    const ranked = pairs(flat);
    return { ranked: ranked.filter((each) => isAfter(each, after)), more: ranked.length === most + LOOK_AT };
  }

  async #idle(before: { withMessages: number; empty: number }, limit: number): Promise<ListedSession[]> {
    const found = await this.#each(async (partition) => {
      const { idle, empty } = this.#keys.partition(partition);
      const under = async (key: string, time: number): Promise<Ranked[]> =>
        pairs(
          await this.link.command((client) =>
            client.zrange(key, '-inf', `(${time}`, 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES'),
          ),
        );
      return [...(await under(idle, before.withMessages)), ...(await under(empty, before.empty))];
    });
    const longestFirst = found.flat().sort((a, b) => newestFirst(b, a));
    return this.#describe(longestFirst.slice(0, limit));
  }

  async #describe(ranked: readonly Ranked[]): Promise<ListedSession[]> {
    const fields = await Promise.all(
      ranked.map(({ sessionId }) =>
        this.link.command((client) => client.hmget(this.#keys.session(sessionId).record, 'body', 'nodes')),
      ),
    );
    return fields.flatMap(([json, nodes], index) => {
      const sessionId = ranked[index]?.sessionId;
      if (!json || sessionId === undefined) return [];
      const body = parse<Body>(json, 'session');
      return [
        {
          sessionId,
          agent: body.agent.id,
          title: body.title,
          attached: nodes !== '',
          busy: isBusy(body as unknown as Session),
          turn: body.running?.turnId,
          updatedAt: body.updatedAt,
          createdAt: body.createdAt,
          ...(body.used ? { used: body.used } : {}),
        },
      ];
    });
  }

  #each<T>(ask: (partition: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#keys.allPartitions().map(ask));
  }
}

interface RankedPage {
  /** The newest first. */
  ranked: Ranked[];
  /** The partition has older ones, too. */
  more: boolean;
}

/** As far as every page reaches: what lies behind the end of one cannot be ranked yet. */
function mergedNewestFirst(pages: readonly RankedPage[]): Ranked[] {
  const ends = pages.flatMap(({ ranked, more }) => (more ? ranked.slice(-1) : []));
  const horizon = ends.sort(newestFirst)[0];
  const merged = pages.flatMap(({ ranked }) => ranked).sort(newestFirst);
  return horizon ? merged.filter((each) => newestFirst(each, horizon) <= 0) : merged;
}

function isAfter(each: Ranked, cursor: Ranked | undefined): boolean {
  return cursor === undefined || newestFirst(cursor, each) < 0;
}

function newestFirst(a: Ranked, b: Ranked): number {
  if (a.score !== b.score) return b.score - a.score;
  return a.sessionId < b.sessionId ? 1 : a.sessionId > b.sessionId ? -1 : 0;
}

function pairs(flat: readonly string[]): Ranked[] {
  const ranked: Ranked[] = [];
  for (let index = 0; index < flat.length; index += 2) {
    ranked.push({ sessionId: flat[index] ?? '', score: Number(flat[index + 1]) });
  }
  return ranked;
}
