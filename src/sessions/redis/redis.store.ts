import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { LogEntry, Position } from '../../protocol.js';
import { RequestError } from '../request.error.js';
import type { Command, Outcome } from '../session.command.js';
import { isBusy, type Change, type Session, type TurnEnd } from '../session.js';
import { dayOf, decide, endTurn, type Lookup } from '../session.rules.js';
import {
  SessionStore,
  type Appended,
  type Census,
  type FoundSession,
  type ListQuery,
  type MessagePage,
  type MessageQuery,
  type NewSession,
  type Reading,
} from '../session.store.js';
import { RedisAppends } from './redis.appends.js';
import { RedisLeases } from './redis.leases.js';
import { RedisList } from './redis.list.js';
import { RedisReader } from './redis.reader.js';
import {
  fieldOf,
  KEY,
  readRequest,
  RedisSessions,
  stateField,
  turnField,
  type Committed,
  type Decided,
  type Field,
  type Loaded,
  type RedisCommand,
} from './redis.sessions.js';

/** The session store of many nodes. Nothing of a session is kept in a node but what its running turn needs. */
@Injectable()
export class RedisStore extends SessionStore {
  constructor(
    private readonly sessions: RedisSessions,
    private readonly appends: RedisAppends,
    private readonly leases: RedisLeases,
    private readonly reader: RedisReader,
    private readonly lists: RedisList,
  ) {
    super();
  }

  override get repeatedAppends(): number {
    return this.sessions.repeated;
  }

  async open(sessionId: string, create?: () => NewSession): Promise<FoundSession | undefined> {
    for (;;) {
      const loaded = await this.sessions.load(sessionId);
      if (loaded.session) return loaded.session.closing ? undefined : found(loaded);
      if (!create || this.sessions.isRefused(loaded.gone)) return undefined;
      const made = await this.#make(sessionId, create(), loaded.gone);
      if (made) return made;
    }
  }

  async accept(sessionId: string, command: Command): Promise<Outcome> {
    const { result } = await this.sessions.change<Outcome>(sessionId, fieldsFor(command), async (loaded) => {
      if (!loaded) return { result: { kind: 'gone' } };
      const { session } = loaded;
      if (command.kind === 'close' && command.unlessActiveSince !== undefined) {
        const idleSince = idleSinceOf(loaded);
        if (idleSince === undefined || idleSince > command.unlessActiveSince) {
          return { result: { kind: 'busy' } };
        }
      }
      const { outcome, change } = decide(session, command, await this.#lookup(command, loaded));
      return {
        result: outcome,
        change,
        seals: change && !isBusy(change.session),
        commands: change && (await this.#withdrawal(change, session)),
      };
    });
    return result;
  }

  async append(sessionId: string, fence: number, entries: LogEntry[], end?: TurnEnd): Promise<Appended> {
    const lease = this.leases.find(sessionId, fence);
    if (!lease) return { kind: 'deposed' };
    if (!end) return this.appends.append(lease, entries);
    for (;;) {
      const { result, committed } = await this.sessions.change<'gone' | 'running'>(
        sessionId,
        [],
        (loaded): Decided<'gone' | 'running'> => {
          const running = loaded?.session.running;
          if (!loaded || !running || loaded.record.held !== fence) return { result: 'gone' };
          const change = endTurn(loaded.session, running, entries, end, this.sessions.clock.iso());
          return { result: 'running', change, seals: true };
        },
        { fence },
      );
      if (committed?.kind === 'done') {
        lease.ended();
        return { kind: 'appended', packet: committed.packet };
      }
      const lost = committed?.kind === 'absent' || (result === 'gone' && (await this.leases.isLost(lease)));
      if (!lost || !(await this.leases.restore(lease))) {
        this.leases.forget(lease);
        return { kind: 'deposed' };
      }
    }
  }

  read(sessionId: string, position?: Position): Promise<Reading | undefined> {
    return this.reader.read(sessionId, position);
  }

  messages(sessionId: string, query: MessageQuery): Promise<MessagePage | undefined> {
    return this.reader.messages(sessionId, query);
  }

  census(): Promise<Census> {
    return this.lists.census();
  }

  ping(): Promise<void> {
    return this.lists.ping();
  }

  list(query: ListQuery): ReturnType<SessionStore['list']> {
    return this.lists.list(query);
  }

  async #make(sessionId: string, values: NewSession, gone: string): Promise<FoundSession | undefined> {
    const { owner, ownersLimit, agent, metadata } = values;
    const now = this.sessions.clock.iso();
    const session: Session = {
      sessionId,
      owner,
      agent,
      epoch: '',
      seq: 0,
      createdAt: now,
      updatedAt: now,
      title: '',
      nextPosition: 0,
      waiting: [],
      metadata,
    };
    const commit = async (): Promise<Committed> => {
      if (owner.kind !== 'subject' || ownersLimit === undefined) {
        return this.sessions.commit({ session, entries: [] }, { gone });
      }
      const elsewhere = await this.lists.ownedElsewhere(owner.sub, sessionId);
      return this.sessions.commit({ session, entries: [] }, { gone, ownersLimit: ownersLimit - elsewhere });
    };
    const committed = owner.kind === 'subject' ? await this.lists.alone(owner.sub, commit) : await commit();
    if (committed.kind === 'too_many') {
      throw new RequestError(
        'too_many_sessions',
        `An owner has up to ${ownersLimit} sessions: close one of them.`,
      );
    }
    if (committed.kind !== 'done') return undefined;
    session.epoch = committed.packet.epoch;
    return { session, created: true, idleSince: this.sessions.clock.now() };
  }

  /** What the rules may ask while they decide, read beforehand. */
  async #lookup(command: Command, { session, fields }: Loaded): Promise<Lookup> {
    const { sessionId, owner } = session;
    const lookup: Lookup = {
      now: this.sessions.clock.iso(),
      newId: randomUUID,
      request: () => undefined,
      turn: () => undefined,
      message: () => undefined,
      messageAt: () => undefined,
      tokensOf: () => 0,
    };
    if (command.kind === 'send' || command.kind === 'retry') {
      const [request, state, place] = fields;
      lookup.request = () => readRequest(request, state);
      const at = place === undefined ? session.nextPosition - 2 : Number(place ?? -1);
      if (at >= 0 && (place !== undefined || command.kind === 'retry')) {
        const [message] = await this.reader.messagesBetween(sessionId, at, at + 1);
        lookup.message = () => message;
        lookup.messageAt = () => message;
      }
      if (command.tokensPerDay !== undefined && owner.kind === 'subject') {
        const tokens = await this.lists.tokensOf(owner.sub, dayOf(lookup.now));
        lookup.tokensOf = () => tokens;
      }
    }
    const field = fields[0];
    if (command.kind === 'cancel' && field) {
      const { requests } = this.sessions.keysOf(sessionId);
      const [json, state] = await this.sessions.link.command((client) =>
        client.hmget(requests, field, `state of ${field}`),
      );
      lookup.turn = () => readRequest(json, state);
    }
    return lookup;
  }

  /** What has to go where messages are withdrawn. */
  async #withdrawal({ withdrawFrom }: Change, session: Session): Promise<RedisCommand[]> {
    if (withdrawFrom === undefined) return [];
    const placed = await this.reader.messagesBetween(session.sessionId, withdrawFrom, session.nextPosition);
    return placed.flatMap(({ position, message }): RedisCommand[] => [
      ['HDEL', KEY.messages, position],
      ['HDEL', KEY.places, message.id],
    ]);
  }
}

/** The fields of a session that a decision on a command needs. */
function fieldsFor(command: Command): Field[] {
  switch (command.kind) {
    case 'send': {
      const request = { kind: 'send', id: command.messageId } as const;
      return [
        ['requests', fieldOf(request)],
        ['requests', stateField(request)],
        ['places', command.messageId],
      ];
    }
    case 'retry': {
      const request = { kind: 'retry', id: command.retryId } as const;
      const fields: Field[] = [
        ['requests', fieldOf(request)],
        ['requests', stateField(request)],
      ];
      if (command.messageId !== undefined) fields.push(['places', command.messageId]);
      return fields;
    }
    case 'cancel':
      return command.turnId === undefined ? [] : [['requests', turnField(command.turnId)]];
    default:
      return [];
  }
}

function found(loaded: Loaded): FoundSession {
  return { session: loaded.session, created: false, idleSince: idleSinceOf(loaded) };
}

function idleSinceOf({ session, record }: Loaded): number | undefined {
  return record.nodes.length > 0 || isBusy(session) ? undefined : record.idle;
}
