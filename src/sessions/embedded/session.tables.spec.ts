import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Clock } from '../../clock.js';
import type { SessionEvent, UIMessage } from '../../protocol.js';
import type { Session } from '../session.js';
import { MemoryTables } from '../memory/memory.tables.js';
import type { LogSegment, SessionTables, Write } from './session.tables.js';
import { SqliteTables } from '../sqlite/sqlite.tables.js';

const ID = 'session-number-one';
const AGENT = { id: 'alice', hash: 'abc', name: 'Alice', description: '', tools: ['clock'], persona: 'Be.' };

function session(values: Partial<Session> = {}): Session {
  return {
    sessionId: ID,
    owner: { kind: 'subject', sub: 'someone' },
    agent: AGENT,
    epoch: 'epoch',
    seq: 0,
    createdAt: '2026-11-22T12:00:00.000Z',
    updatedAt: '2026-11-22T12:00:00.000Z',
    title: '',
    nextPosition: 0,
    waiting: [],
    ...values,
  };
}

function user(id: string, text = id): UIMessage {
  return { id, role: 'user', parts: [{ type: 'text', text }] };
}

function message(position: number, id: string, sessionId = ID): Write {
  return { kind: 'message', sessionId, placed: { position, message: user(id) } };
}

function segment(from: number, to: number, sealedAt?: number): LogSegment {
  const events = Array.from({ length: to - from }, (_, index): SessionEvent => ({
    type: 'agent',
    agent: 'bob',
    previous: 'alice',
    seq: from + 1 + index,
  }));
  return { from, to, sealedAt, events };
}

describe.each(['memory', 'sqlite'])('the tables, %s', (kind) => {
  let tables: SessionTables;
  let dataDir: string;
  beforeEach(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'mooring-tables-'));
    tables = kind === 'memory' ? new MemoryTables() : SqliteTables.open({ dataDir, clock: new Clock() });
    await tables.commit([{ kind: 'session', session: session(), idleSince: 5 }]);
  });
  afterEach(async () => {
    await tables.close();
    rmSync(dataDir, { recursive: true });
  });

  const positions = (before: number): number[] =>
    [...tables.messagesBefore(ID, before)].map(({ position }) => position);

  it('give a session as it was put, whole', async () => {
    const full = session({
      seq: 9,
      title: 'title',
      nextPosition: 4,
      running: {
        turnId: 't',
        request: { kind: 'send', id: 'm' },
        messageId: 'm',
        agent: 'alice',
        startSeq: 8,
        position: 2,
      },
      waiting: [{ turnId: 't2', request: { kind: 'retry', id: 'r' }, message: user('m2') }],
      closing: 'expired',
      metadata: { deep: { list: [1, null, 'é'] } },
    });
    await tables.commit([{ kind: 'session', session: full }]);
    expect(tables.load(ID)).toEqual({ session: full, attached: false, idleSince: 5 });
    expect(tables.load('another')).toBeUndefined();
    expect(tables.busy()).toEqual([ID]);
  });

  it('know presence and idleness at once, also before they are durable', () => {
    tables.setPresence(ID, { attached: true, at: 7 });
    expect(tables.load(ID)).toMatchObject({ attached: true, idleSince: 5 });
    tables.setPresence(ID, { attached: false, at: 9 });
    expect(tables.load(ID)).toMatchObject({ attached: false, idleSince: 9 });
    tables.setPresence(ID, { attached: false, at: 3 });
    expect(tables.list({ limit: 1 }).sessions).toMatchObject([{ attached: false }]);
    expect(tables.load(ID)).toMatchObject({ attached: false });
  });

  it('put a message in its place, and an id in one place only', async () => {
    await tables.commit([message(0, 'a'), message(1, 'b'), message(2, 'c')]);
    await tables.commit([message(1, 'other b'), message(3, 'a')]);
    expect(positions(10)).toEqual([3, 2, 1]);
    expect(tables.message(ID, 'b')).toBeUndefined();
    expect(tables.message(ID, 'a')?.position).toBe(3);
    expect(positions(3)).toEqual([2, 1]);
    expect(positions(0)).toEqual([]);
    const [first] = tables.messagesBefore(ID, 10);
    expect(first?.bytes).toBe(JSON.stringify(user('a')).length);
    await tables.commit([{ kind: 'withdraw', sessionId: ID, from: 2 }, message(2, 'a')]);
    expect(positions(10)).toEqual([2, 1]);
  });

  it('page through a long transcript, a few at a time', async () => {
    await tables.commit(Array.from({ length: 100 }, (_, index) => message(index, `m${index}`)));
    expect(positions(98)).toEqual(Array.from({ length: 98 }, (_, index) => 97 - index));
    // Two readers of one transcript, one of which stops early.
    for (const { position } of tables.messagesBefore(ID, 100)) {
      if (position < 90) break;
      expect(positions(position).length).toBe(position);
    }
    await tables.commit([message(100, 'm100')]);
    expect(positions(101)).toHaveLength(101);
  });

  it('seal earlier segments with the last, and trim those that were sealed before', async () => {
    await tables.commit([{ kind: 'segment', sessionId: ID, segment: segment(0, 2) }]);
    tables.trim({ sealedAt: 1_000, refusedUntil: 0, day: '' });
    expect([...tables.segments(ID, 0)]).toEqual([segment(0, 2)]);
    await tables.commit([{ kind: 'segment', sessionId: ID, segment: segment(2, 4, 100) }]);
    await tables.commit([{ kind: 'segment', sessionId: ID, segment: segment(4, 5, 200) }]);
    expect([...tables.segments(ID, 0)]).toEqual([segment(0, 2, 100), segment(2, 4, 100), segment(4, 5, 200)]);
    expect([...tables.segments(ID, 2)]).toEqual([segment(2, 4, 100), segment(4, 5, 200)]);
    expect([...tables.segments(ID, 3)]).toHaveLength(2);
    expect([...tables.segments(ID, 5)]).toEqual([]);
    tables.trim({ sealedAt: 100, refusedUntil: 0, day: '' });
    expect([...tables.segments(ID, 0)]).toHaveLength(3);
    tables.trim({ sealedAt: 101, refusedUntil: 0, day: '' });
    expect([...tables.segments(ID, 0)]).toEqual([segment(4, 5, 200)]);
  });

  it('remember requests by their id and by their turn, and how they ended', async () => {
    const request = { kind: 'send', id: 'm1' } as const;
    const record = { request, digest: 'd', turnId: 't1', messageId: 'm1', state: 'queued' } as const;
    await tables.commit([{ kind: 'request', sessionId: ID, record }]);
    expect(tables.request(ID, request)).toEqual(record);
    expect(tables.request(ID, { kind: 'retry', id: 'm1' })).toBeUndefined();
    await tables.commit([{ kind: 'settle', sessionId: ID, request, state: 'cancelled' }]);
    expect(tables.turn(ID, 't1')).toEqual({ ...record, state: 'cancelled' });
    expect(tables.turn('another', 't1')).toBeUndefined();
  });

  it('keep nothing of a removed session but its id, also of one too long to be removed at once', async () => {
    const request = { kind: 'send', id: 'm1' } as const;
    await tables.commit([
      ...Array.from({ length: 1_000 }, (_, index) => message(index, `m${index}`)),
      ...Array.from({ length: 40 }, (_, index): Write => ({
        kind: 'segment',
        sessionId: ID,
        segment: segment(index, index + 1, 1),
      })),
      {
        kind: 'request',
        sessionId: ID,
        record: { request, digest: '', turnId: 't', messageId: 'm1', state: 'queued' },
      },
    ]);
    await tables.commit([{ kind: 'remove', sessionId: ID, refusedUntil: 50 }]);
    expect(tables.load(ID)).toBe('refused');
    expect(tables.list({ limit: 5 }).sessions).toEqual([]);
    expect(tables.list({ subject: 'someone', limit: 5 }).sessions).toEqual([]);
    expect(tables.request(ID, request)).toBeUndefined();
    tables.trim({ sealedAt: 0, refusedUntil: 50, day: '' });
    expect(tables.load(ID)).toBe('refused');
    for (let piece = 0; piece < 10; piece += 1) tables.trim({ sealedAt: 0, refusedUntil: 51, day: '' });
    expect(tables.load(ID)).toBeUndefined();
    expect(positions(1_000)).toEqual([]);
    expect([...tables.segments(ID, 0)]).toEqual([]);
  });

  it('share one agent among the sessions that are pinned to it', async () => {
    await tables.commit([
      { kind: 'session', session: session({ sessionId: 'another-session-id', agent: { ...AGENT } }) },
    ]);
    const first = tables.load(ID);
    const second = tables.load('another-session-id');
    if (typeof first !== 'object' || typeof second !== 'object') throw new Error('not found');
    expect(second.session.agent).toEqual(AGENT);
    if (kind === 'sqlite') expect(first.session.agent).toBe(second.session.agent);
  });
});
