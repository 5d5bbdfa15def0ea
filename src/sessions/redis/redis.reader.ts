import { Injectable } from '@nestjs/common';
import { Config } from '../../config.js';
import { LIMITS, type Position, type SessionEvent } from '../../protocol.js';
import { mergeEvents } from '../coalescer.js';
import { chain, newestWithin, sized, waitingEvents, type SizedMessage } from '../reading.js';
import { openTurns, type PlacedMessage, type Session } from '../session.js';
import type { MessagePage, MessageQuery, Reading } from '../session.store.js';
import { RedisLeases } from './redis.leases.js';
import { readEvents, readMessage, readRecord } from './redis.record.js';
import { RedisSessions, type Field } from './redis.sessions.js';

/** So many messages are asked for at once, newest first, until a page is full. */
const MESSAGES_AT_ONCE = 16;

/** Logs and transcripts. */
@Injectable()
export class RedisReader {
  constructor(
    private readonly sessions: RedisSessions,
    private readonly leases: RedisLeases,
    private readonly config: Config,
  ) {}

  /** What a client at `position` lacks; undefined: no such session. */
  async read(sessionId: string, position?: Position): Promise<Reading | undefined> {
    const { link, clock } = this.sessions;
    const reply = await link.onSession('read', this.sessions.keysOf(sessionId), [
      position?.epoch ?? '',
      position?.seq ?? 0,
      clock.now() - this.config.resumeWindowMs,
      LIMITS.replayLength,
      LIMITS.snapshotMessages,
      LIMITS.snapshotBytes,
    ]);
    const record = readRecord(reply[1] as string[]);
    if (!record && !(await link.settled())) return this.read(sessionId, position);
    if (!record || record.body.closing) return undefined;
    const session = await this.sessions.sessionOf(sessionId, record);
    const { epoch, seq } = session;
    const common = { agent: session.agent, turns: openTurns(session) };
    if (reply[2] === 'replay') {
      const events = readEvents(reply[3] as [string, string][]).filter(
        (event) => event.seq > (position?.seq ?? 0),
      );
      const rest = reply[4] === 1;
      return {
        ...common,
        position: { epoch, seq: rest ? (events.at(-1)?.seq ?? seq) : seq },
        rest,
        recovered: true,
        messages: [],
        hasMore: false,
        events: mergeEvents(events),
      };
    }
    const begun = (reply[3] as string[]).map(sizedJson);
    const page = newestWithin(
      chain(session.waiting.map(({ message }) => sized(message)).reverse(), begun),
      LIMITS.snapshotMessages,
      LIMITS.snapshotBytes,
    );
    return {
      ...common,
      position: { epoch, seq },
      rest: false,
      recovered: false,
      messages: page.messages,
      hasMore: page.hasMore || reply[4] === 1,
      events: waitingEvents(session).concat(
        mergeEvents(ofTurn(session, readEvents(reply[5] as [string, string][]))),
      ),
    };
  }

  /** Stored messages just before one, the newest first while they are read. */
  async messages(sessionId: string, query: MessageQuery): Promise<MessagePage | undefined> {
    const fields: Field[] = query.before === undefined ? [] : [['places', query.before]];
    const loaded = await this.sessions.load(sessionId, fields);
    if (!loaded.session) return undefined;
    const { session } = loaded;
    const waiting = query.begun ? [] : session.waiting.map(({ message }) => sized(message)).reverse();
    const index = waiting.findIndex(({ message }) => message.id === query.before);
    const place = loaded.fields[0];
    if (query.before !== undefined && index < 0 && typeof place !== 'string') return undefined;
    const before = index < 0 && typeof place === 'string' ? Number(place) : session.nextPosition;
    const newest: SizedMessage[] = typeof place === 'string' && index < 0 ? [] : waiting.slice(index + 1);
    const { limit, maxBytes = Infinity } = query;
    let bytes = newest.reduce((sum, each) => sum + each.bytes, 0);
    const goesOn = (): boolean => newest.length <= limit && (bytes <= maxBytes || newest.length < 2);
    for (let end = before; end > 0 && goesOn();) {
      const begin = Math.max(0, end - MESSAGES_AT_ONCE);
      const placed = await this.messagesBetween(sessionId, begin, end);
      this.leases.remember(sessionId, placed);
      const page = placed.reverse().map(({ message, bytes: size }) => ({ message, bytes: size }));
      bytes += page.reduce((sum, each) => sum + each.bytes, 0);
      newest.push(...page);
      end = begin;
    }
    return newestWithin(newest, limit, maxBytes);
  }

  /** Those at positions from `begin` up to `end`, without it. */
  async messagesBetween(
    sessionId: string,
    begin: number,
    end: number,
  ): Promise<(PlacedMessage & { bytes: number })[]> {
    if (begin >= end) return [];
    const { messages } = this.sessions.keysOf(sessionId);
    const positions = Array.from({ length: end - begin }, (_, index) => begin + index);
    const found = await this.sessions.link.command((client) =>
      client.hmget(messages, ...positions.map(String)),
    );
    return found.flatMap((json, index) =>
      json === null ? [] : [{ position: begin + index, ...sizedJson(json) }],
    );
  }
}

function ofTurn({ running }: Session, events: SessionEvent[]): SessionEvent[] {
  return events.filter((event) => 'turnId' in event && event.turnId === running?.turnId);
}

function sizedJson(json: string): SizedMessage {
  return { message: readMessage(json), bytes: Buffer.byteLength(json) };
}
