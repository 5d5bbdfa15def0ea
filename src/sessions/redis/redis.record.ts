import type { SessionEvent, UIMessage } from '../../protocol.js';
import { hasMessage } from '../embedded/session.list.js';
import type { PinnedAgent } from '../pinned-agent.js';
import { isBusy, type Session } from '../session.js';
import { SessionDamaged } from '../session.store.js';

/** All of a session that changes only by decisions, as one field of its record. */
export interface Body extends Omit<Session, 'sessionId' | 'epoch' | 'seq' | 'agent'> {
  agent: { id: string; hash: string };
}

/** A session's record as Redis holds it. */
export interface StoredRecord {
  /** Grows with every decision; appends leave it. */
  revision: string;
  /** The fence of whoever runs its turns, or 0. */
  held: number;
  fence: number;
  /** The node of that fence. */
  owner: string;
  /** Those that have a socket on it. */
  nodes: string[];
  /** Later of the last unbind and the last turn's end, epoch milliseconds. */
  idle: number;
  /** When the last node left it, epoch milliseconds. */
  left: number;
  epoch: string;
  seq: number;
  /** Ends of turns that the log holds: up to which seq, and when. */
  seals: Seal[];
  body: Body;
}

export interface Seal {
  seq: number;
  at: number;
}

/** @param flat field, value, field, value …, as scripts give hashes */
export function readRecord(flat: readonly string[]): StoredRecord | undefined {
  if (flat.length === 0) return undefined;
  const fields = new Map<string, string>();
  for (let index = 0; index < flat.length; index += 2) fields.set(flat[index] ?? '', flat[index + 1] ?? '');
  const field = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined) throw new SessionDamaged(`field ${name} of a session`);
    return value;
  };
  return {
    revision: field('revision'),
    held: Number(field('held')),
    fence: Number(field('fence')),
    owner: fields.get('owner') ?? '',
    nodes: field('nodes').split(' ').filter(Boolean),
    idle: Number(field('idle')),
    left: Number(field('left')),
    epoch: field('epoch'),
    seq: Number(field('seq')),
    seals: parse<Seal[]>(fields.get('seals') ?? '[]', 'seals'),
    body: parse<Body>(field('body'), 'session'),
  };
}

export function sessionOf(
  sessionId: string,
  { epoch, seq, body }: StoredRecord,
  agent: PinnedAgent,
): Session {
  return { ...body, sessionId, epoch, seq, agent };
}

/** The fields of a record that a decision writes, as words of an HSET. */
export function recordFields(session: Session): (string | number)[] {
  const { sessionId: _id, epoch: _epoch, seq: _seq, agent, ...rest } = session;
  const body: Body = { ...rest, agent: { id: agent.id, hash: agent.hash } };
  return [
    'body',
    JSON.stringify(body),
    'busy',
    isBusy(session) ? 1 : 0,
    'used',
    hasMessage(session) ? 1 : 0,
    'start',
    session.running?.startSeq ?? '',
    'next',
    session.nextPosition,
  ];
}

/** How an agent's version is called among the versions. */
export function versionOf({ id, hash }: { id: string; hash: string }): string {
  return `${id} ${hash}`;
}

/** @param entries `from` and a JSON array each, as scripts give them */
export function readEvents(entries: readonly (readonly [string, string])[]): SessionEvent[] {
  return entries.flatMap(([from, json]) => numbered(parse<SessionEvent[]>(json, 'log entry'), Number(from)));
}

/** Gives events the seqs after `from`. They are stored without, since a script decides where they stand. */
export function numbered(events: readonly object[], from: number): SessionEvent[] {
  return events.map((event, index) => ({ ...event, seq: from + 1 + index }) as SessionEvent);
}

export function readMessage(json: string): UIMessage {
  return parse<UIMessage>(json, 'message');
}

/** @throws SessionDamaged */
export function parse<T>(json: string, what: string): T {
  try {
    return JSON.parse(json) as T;
  } catch (error) {
    throw new SessionDamaged(what, error);
  }
}
