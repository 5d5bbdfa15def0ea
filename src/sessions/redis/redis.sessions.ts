import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../../clock.js';
import { LIMITS, type EventPacket, type TurnState } from '../../protocol.js';
import type { PinnedAgent } from '../pinned-agent.js';
import { isBusy, type Change, type RequestRecord, type Session, type TurnRequest } from '../session.js';
import { StoreUnavailable } from '../session.store.js';
import type { RedisKeys, SessionKeys } from './redis.keys.js';
import { ANSWER_MS, type RedisLink } from './redis.link.js';
import {
  numbered,
  parse,
  readRecord,
  recordFields,
  sessionOf,
  versionOf,
  type Seal,
  type StoredRecord,
} from './redis.record.js';

/** How often a decision is made anew because the session changed meanwhile. */
const MOST_CONFLICTS = 50;
/** How long to wait before Redis is asked again for what became of a change. */
const ASK_AGAIN_MS = 100;
/** Ends of turns are remembered so far apart, by which the log is cut: sixteen of them in a resume window. */
const SEALS_A_WINDOW = 16;

/** The keys of a session by number, as commands of a commit name them. */
export const KEY = {
  record: '#2',
  log: '#3',
  messages: '#4',
  places: '#5',
  requests: '#6',
  gone: '#7',
  all: '#8',
  agents: '#13',
  owned: '#14',
  spent: '#15',
} as const;

export type Word = string | number;
export type RedisCommand = readonly [command: string, key: string, ...rest: Word[]];

/** A session as it was read. */
export interface Loaded {
  session: Session;
  record: StoredRecord;
  /** The fields that were asked for; null where there is none. */
  fields: (string | null)[];
}

/** A field of another hash of the session. */
export type Field = [of: keyof typeof KEY, name: string];

export interface CommitOptions {
  /** The record that the change was decided on; undefined: the session is to be made. */
  record?: StoredRecord;
  /** `gone` as it was seen when a session is made. */
  gone?: string;
  /** Only under this fence. Whoever has it waits until Redis answers; others are told that it does not. */
  fence?: number;
  /** The events end a turn, or nothing runs or waits after them: from then on the resume window counts. */
  seals?: boolean;
  /** How many sessions the owner may have. */
  ownersLimit?: number;
  /** What else is written. */
  commands?: readonly RedisCommand[];
}

export type Committed =
  | { kind: 'done'; packet: EventPacket }
  | { kind: 'conflict' }
  | { kind: 'deposed' }
  /** It is not there, or Redis knows only an older fence. */
  | { kind: 'absent' }
  | { kind: 'too_many' };

export interface RedisSettings {
  resumeWindowMs: number;
}

/** Reads sessions and changes them: decide on what was read, then commit if that is still so. */
export class RedisSessions {
  readonly keys: RedisKeys;
  /** Appends and ends of turns that were asked for again, since Redis did not say what became of them. */
  repeated = 0;
  readonly #agents = new Map<string, PinnedAgent>();
  #published: (packet: EventPacket) => void = () => undefined;
  #uncertain: (sessionId: string) => void = () => undefined;

  constructor(
    readonly link: RedisLink,
    readonly clock: Clock,
    readonly settings: RedisSettings,
  ) {
    this.keys = link.keys;
  }

  /** What this node changed is told to it at once; other nodes are told by Redis. */
  onPublished(listener: (packet: EventPacket) => void): void {
    this.#published = listener;
  }

  /** Of a session that was perhaps changed, as Redis did not say; nobody here is told of it. */
  onUncertain(listener: (sessionId: string) => void): void {
    this.#uncertain = listener;
  }

  publish(packet: EventPacket): void {
    if (packet.events.length > 0) this.#published(packet);
  }

  /** @returns undefined and what `gone` holds, where there is no such session */
  async load(
    sessionId: string,
    fields: readonly Field[] = [],
  ): Promise<Loaded | { session?: undefined; gone: string }> {
    const words = fields.flatMap(([of, name]) => [KEY[of].slice(1), name]);
    for (;;) {
      const reply = await this.link.onSession('load', this.keys.session(sessionId), words);
      const record = readRecord(reply[1] as string[]);
      if (record) {
        const session = await this.sessionOf(sessionId, record);
        return { session, record, fields: reply[2] as (string | null)[] };
      }
      // Its owner may be about to write it anew.
      if (await this.link.settled()) return { gone: (reply[2] as string | null) ?? '' };
    }
  }

  async sessionOf(sessionId: string, record: StoredRecord): Promise<Session> {
    return sessionOf(sessionId, record, await this.#agentOf(sessionId, record));
  }

  /** An id that belonged to a session which ended lately. */
  isRefused(gone: string): boolean {
    return gone !== '' && Number(gone) > this.clock.now();
  }

  /** @param decide is asked again, with what it is then, where the session changed meanwhile */
  async change<T>(
    sessionId: string,
    fields: readonly Field[] | ((session: Session) => readonly Field[]),
    decide: (loaded: Loaded | undefined) => Promise<Decided<T>> | Decided<T>,
    options: Pick<CommitOptions, 'fence'> = {},
  ): Promise<{ result: T; committed?: Committed }> {
    // Right after a restart its owner may be about to write it anew, and all that was decided meanwhile would be lost.
    while (options.fence === undefined && !(await this.link.settled()));
    for (let attempt = 0; attempt < MOST_CONFLICTS; attempt += 1) {
      const loaded = await this.load(sessionId, typeof fields === 'function' ? [] : fields);
      const decided = await decide(loaded.session ? loaded : undefined);
      if (!decided.change || !loaded.session) return { result: decided.result };
      const { fence } = options;
      const committed = await this.commit(decided.change, {
        record: loaded.record,
        fence,
        seals: decided.seals,
        commands: decided.commands,
      });
      if (committed.kind !== 'conflict') return { result: decided.result, committed };
    }
    throw new StoreUnavailable('too many others change this session');
  }

  /** @throws StoreUnavailable, unless a fence is given: whoever has one waits until it is known what became of it */
  async commit(change: Change, options: CommitOptions): Promise<Committed> {
    const { sessionId, seq } = change.session;
    const keys = this.keys.session(sessionId);
    const { record, fence, ownersLimit } = options;
    const { owner } = change.session;
    const subject = owner.kind === 'subject' ? owner.sub : '';
    const last = randomUUID();
    const at = this.clock.now();
    const count = change.entries.length;
    const words: Word[] = [
      sessionId,
      fence === undefined ? this.link.now() + ANSWER_MS : 0,
      record?.revision ?? '',
      fence ?? '',
      last,
      count > 0 ? JSON.stringify(change.entries) : '',
      count,
      options.seals ? at : '',
      change.gone ? 1 : 0,
      options.gone ?? '',
      ownersLimit === undefined || ownersLimit === Infinity ? '' : ownersLimit,
      KEY.owned.slice(1),
      this.link.timing.acceptorMs,
      this.settings.resumeWindowMs,
    ];
    const commands = change.gone
      ? this.#removal(change, at)
      : [
          ...this.#writes(change, record, options.seals ? { seq, at } : undefined),
          ...(options.commands ?? []),
        ];
    for (const command of commands) words.push(command.length, ...command);
    const more = [this.keys.owned(keys.partition, subject), this.keys.spent(keys.partition, subject)];
    for (;;) {
      try {
        const reply = await this.link.onSession('commit', keys, words, more);
        return this.#committed(change, reply);
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        // Whether it was made is unknown: asked again it answers as the first time, by its own id.
        if (fence === undefined || this.link.closed) {
          this.#uncertain(sessionId);
          throw error;
        }
        this.repeated += 1;
        await setTimeout(ASK_AGAIN_MS);
      }
    }
  }

  #committed(change: Change, reply: readonly unknown[]): Committed {
    const { sessionId } = change.session;
    const [kind, from, to, epoch] = reply as [string, number, number, string];
    switch (kind) {
      case 'done': {
        const packet = { sessionId, epoch, from, to, events: numbered(change.entries, from) };
        this.publish(packet);
        return { kind, packet };
      }
      case 'conflict':
      case 'deposed':
      case 'absent':
      case 'too_many':
        return { kind };
      case 'late':
        throw new StoreUnavailable('Redis answered too late');
      default:
        throw new Error(`unexpected reply of a commit: ${kind}`);
    }
  }

  #writes(change: Change, record: StoredRecord | undefined, seal: Seal | undefined): RedisCommand[] {
    const { session } = change;
    const at = this.clock.now();
    const updated = Date.parse(session.updatedAt);
    const commands: RedisCommand[] = [
      ['HSET', KEY.record, ...recordFields(session)],
      ['ZADD', KEY.all, updated, session.sessionId],
    ];
    if (session.owner.kind === 'subject') commands.push(['ZADD', KEY.owned, updated, session.sessionId]);
    if (!record) {
      const made = { held: 0, fence: 0, owner: '', nodes: '', idle: at, left: at, born: session.createdAt };
      commands.push(['HSET', KEY.record, ...Object.entries(made).flat()], ['DEL', KEY.gone]);
    }
    if (
      !record ||
      record.body.agent.hash !== session.agent.hash ||
      record.body.agent.id !== session.agent.id
    ) {
      commands.push(['HSET', KEY.agents, versionOf(session.agent), JSON.stringify(session.agent)]);
      this.#agents.set(versionOf(session.agent), session.agent);
    }
    for (const { position, message } of change.messages ?? []) {
      commands.push(
        ['HSET', KEY.messages, position, JSON.stringify(message)],
        ['HSET', KEY.places, message.id, position],
      );
    }
    if (change.request) commands.push(requestCommand(change.request));
    for (const { request, state } of change.settled ?? []) {
      commands.push(['HSET', KEY.requests, stateField(request), state]);
    }
    if (change.spent) {
      const { day, tokens } = change.spent;
      commands.push(['HINCRBY', KEY.spent, day, tokens], ['PEXPIRE', KEY.spent, 2 * DAY_MS]);
    }
    if ((change.settled?.length ?? 0) > 0 && !isBusy(session))
      commands.push(['HSET', KEY.record, 'idle', at]);
    if (seal) commands.push(...this.#cut(record?.seals ?? [], seal));
    return commands;
  }

  /** Cuts off what is past the resume window, and remembers where the next cut may be. */
  #cut(seals: readonly Seal[], seal: Seal): RedisCommand[] {
    const window = this.settings.resumeWindowMs;
    const past = seals.findLast(({ at }) => at < seal.at - window);
    const kept = seals.filter(({ at }) => at >= seal.at - window);
    const newest = kept.at(-1);
    if (!newest || newest.at < seal.at - window / SEALS_A_WINDOW) kept.push(seal);
    const commands: RedisCommand[] = [['HSET', KEY.record, 'seals', JSON.stringify(kept)]];
    if (past) commands.push(['XTRIM', KEY.log, 'MINID', `${past.seq + 1}-0`]);
    return commands;
  }

  #removal({ session: { sessionId, owner }, spent }: Change, at: number): RedisCommand[] {
    const commands: RedisCommand[] = [['SET', KEY.gone, at + LIMITS.tombstoneMs, 'PX', LIMITS.tombstoneMs]];
    if (owner.kind === 'subject') commands.push(['ZREM', KEY.owned, sessionId]);
    if (spent)
      commands.push(['HINCRBY', KEY.spent, spent.day, spent.tokens], ['PEXPIRE', KEY.spent, 2 * DAY_MS]);
    return commands;
  }

  async #agentOf(sessionId: string, { body: { agent } }: StoredRecord): Promise<PinnedAgent> {
    const version = versionOf(agent);
    const known = this.#agents.get(version);
    if (known) return known;
    const { agents } = this.keys.session(sessionId).index;
    const json = await this.link.command((client) => client.hget(agents, version));
    const pinned = parse<PinnedAgent>(json ?? '', 'agent');
    this.#agents.set(version, pinned);
    return pinned;
  }

  keysOf(sessionId: string): SessionKeys {
    return this.keys.session(sessionId);
  }
}

export interface Decided<T> {
  result: T;
  change?: Change;
  seals?: boolean;
  commands?: readonly RedisCommand[];
}

const DAY_MS = 24 * 3_600_000;

export function requestCommand(record: RequestRecord): RedisCommand {
  const field = fieldOf(record.request);
  return ['HSET', KEY.requests, field, JSON.stringify(record), turnField(record.turnId), field];
}

/** The field of a request among the requests. */
export function fieldOf({ kind, id }: TurnRequest): string {
  return `${kind} ${id}`;
}

export function turnField(turnId: string): string {
  return `turn ${turnId}`;
}

/** How the turn of a request ended, once it did. */
export function stateField({ kind, id }: TurnRequest): string {
  return `state of ${kind} ${id}`;
}

/** @param state the state field's */
export function readRequest(
  json: string | null | undefined,
  state: string | null | undefined,
): RequestRecord | undefined {
  if (!json) return undefined;
  const record = parse<RequestRecord>(json, 'request');
  return state ? { ...record, state: state as TurnState } : record;
}
