import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Ack, EventPacket, OpenedSession, OpenRequest, SessionEvent } from '../../src/protocol.js';
import type { ConnectionState, Member } from './connection.js';
import { MooringSession, type SessionOrder } from './session.js';
import { Kept, MemoryStorage } from './storage.js';
import { isOutgoing } from './outbox.js';

type Answer = Ack<unknown> | undefined;

/** What a session asks, for the test to answer. */
class FakeConnection {
  state: ConnectionState = 'connected';
  member?: Member;
  readonly asked: { name: string; payload: Record<string, unknown>; answer: (answer: Answer) => void }[] = [];

  join(member: Member): void {
    this.member = member;
  }

  forget(): void {
    this.member = undefined;
  }

  ask(name: string, payload: object, done: (answer: never) => void): void {
    this.asked.push({
      name,
      payload: payload as Record<string, unknown>,
      answer: done as (answer: Answer) => void,
    });
  }

  get last() {
    const last = this.asked.at(-1);
    if (!last) throw new Error('nothing was asked');
    return last;
  }
}

const OPENED: OpenedSession = {
  sessionId: 'session-of-a-test',
  created: true,
  agent: { id: 'alice', name: 'Alice', description: '' },
  position: { epoch: 'e1', seq: 4 },
  recovered: false,
  turns: [],
  messages: [],
  hasMore: false,
  events: [],
};

const SENT = { messageId: 'm1', turnId: 't1', state: 'queued', duplicate: false };

function event(seq: number): SessionEvent {
  return { seq, type: 'agent', agent: `agent-${seq}`, previous: '' };
}

function packet(from: number, to: number, epoch = 'e1'): EventPacket {
  const events = Array.from({ length: to - from }, (_, index) => event(from + index + 1));
  return { sessionId: OPENED.sessionId, epoch, from, to, events };
}

function refusal(
  code: 'rate_limited' | 'unavailable' | 'session_not_found' | 'queue_full',
  retryAfterMs?: number,
): Answer {
  return {
    ok: false,
    error: { code, message: code, retryable: true, ...(retryAfterMs !== undefined && { retryAfterMs }) },
  };
}

describe('a session', () => {
  let connection: FakeConnection;
  let member: Member;
  let session: MooringSession;
  let heard: number[];
  let gone: boolean;
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  };

  beforeEach(async () => {
    jest.useFakeTimers();
    connection = new FakeConnection();
    gone = false;
    heard = [];
    const storage = new MemoryStorage();
    const order: SessionOrder = {
      connection: connection,
      credentials: Promise.resolve({ sessionId: OPENED.sessionId, key: 'k'.repeat(32) }),
      outbox: new Kept(storage, 'outbox', isOutgoing),
      agent: 'alice',
      onLeft: () => undefined,
      onGone: () => (gone = true),
    };
    session = new MooringSession(order);
    session.on('events', (events) => heard.push(...events.map(({ seq }) => seq)));
    await settled();
    member = connection.member as Member;
    member.opened(OPENED);
  });

  afterEach(() => {
    session.leave();
    jest.useRealTimers();
  });

  it('[CLI-5] drops what it has, and opens anew with its position what does not follow it', () => {
    member.received(packet(4, 6));
    member.received(packet(4, 6));
    member.received(packet(3, 5));
    expect(heard).toEqual([5, 6]);
    expect(connection.asked).toEqual([]);

    member.received(packet(8, 9));
    expect(connection.last).toMatchObject({
      name: 'session:open',
      payload: { position: { epoch: 'e1', seq: 6 } },
    });
    member.received(packet(6, 7));
    expect(heard).toEqual([5, 6]);
    const position = { epoch: 'e1', seq: 9 };
    connection.last.answer({
      ok: true,
      data: { ...OPENED, recovered: true, position, events: packet(6, 9).events },
    });
    member.received(packet(9, 10));
    expect(heard).toEqual([5, 6, 10]);
    expect(session.state.agent).toBe('agent-10');

    member.received(packet(10, 11, 'e2'));
    expect(connection.asked).toHaveLength(2);
  });

  it('[CLI-5] part of a packet that it has is a sign that something is wrong, not something to apply twice', () => {
    member.received(packet(4, 6));
    member.received(packet(5, 8));
    expect(heard).toEqual([5, 6]);
    expect(connection.last.name).toBe('session:open');
  });

  it('asks to make the session with its agent at first only, and names its key always', () => {
    const first: OpenRequest = member.openRequest();
    expect(first).toEqual({
      sessionId: OPENED.sessionId,
      key: 'k'.repeat(32),
      create: true,
      position: OPENED.position,
    });
  });

  it('[CLI-3] repeats what got no answer, by the same id; the next one waits for it', async () => {
    const results = Promise.all([session.send('one', { messageId: 'm1' }), session.send('two')]);
    await settled();
    expect(connection.asked).toHaveLength(1);
    connection.last.answer(undefined);
    await settled();
    expect(connection.asked.map(({ payload }) => payload['messageId'])).toEqual(['m1', 'm1']);

    member.unbound();
    connection.last.answer(undefined);
    await settled();
    expect(connection.asked).toHaveLength(2);
    expect(session.state.connection).toBe('reconnecting');
    member.opened({ ...OPENED, recovered: true });
    await settled();
    expect(connection.last.payload).toMatchObject({ messageId: 'm1', text: 'one' });
    connection.last.answer({ ok: true, data: SENT });
    await settled();
    expect(connection.last.payload).toMatchObject({ text: 'two' });
    connection.last.answer({ ok: true, data: SENT });
    await results;
  });

  it('[CLI-6] waits as long as it is told, or twice as long each time, and gives other errors back', async () => {
    const result = session.send('one');
    const failed = expect(result).rejects.toMatchObject({ code: 'queue_full' });
    await settled();
    connection.last.answer(refusal('rate_limited', 1234));
    await settled();
    await jest.advanceTimersByTimeAsync(1233);
    expect(connection.asked).toHaveLength(1);
    await jest.advanceTimersByTimeAsync(1);
    expect(connection.asked).toHaveLength(2);
    for (const pause of [1000, 2000, 4000, 8000, 8000]) {
      const { length } = connection.asked;
      connection.last.answer(refusal('unavailable'));
      await jest.advanceTimersByTimeAsync(pause - 1);
      expect(connection.asked).toHaveLength(length);
      await jest.advanceTimersByTimeAsync(1);
      expect(connection.asked).toHaveLength(length + 1);
    }
    connection.last.answer(refusal('queue_full'));
    await failed;
    expect(session.state.outbox).toMatchObject([{ text: 'one', state: 'failed' }]);
  });

  it('[CLI-6] does not wait for longer than a minute', async () => {
    const failed = expect(session.send('one')).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfterMs: 60_001,
    });
    await settled();
    connection.last.answer(refusal('rate_limited', 60_001));
    await failed;
    expect(session.state.outbox).toMatchObject([{ text: 'one', state: 'failed' }]);
  });

  it('[CLI-6] may be told to send it again by whoever is just told that it failed', async () => {
    let again: Promise<unknown> | undefined;
    session.subscribe(() => {
      const [item] = session.state.outbox;
      if (item?.state === 'failed') again ??= session.resend(item.id);
    });
    const rejected = expect(session.send('one')).rejects.toMatchObject({ code: 'queue_full' });
    await settled();
    connection.last.answer(refusal('queue_full'));
    await rejected;
    await settled();
    connection.last.answer({ ok: true, data: SENT });
    expect(await again).toEqual(SENT);
  });

  it('[CLI-7] names the turn that it cancels', async () => {
    const running: SessionEvent = { seq: 5, type: 'turn', turnId: 't1', messageId: 'm1', state: 'running' };
    member.received({ ...packet(4, 5), events: [running] });
    const cancelled = session.cancel();
    await settled();
    expect(connection.last).toMatchObject({ name: 'turn:cancel', payload: { turnId: 't1' } });
    connection.last.answer({ ok: true, data: { turnId: 't1', cancelled: true } });
    expect(await cancelled).toEqual({ turnId: 't1', cancelled: true });
  });

  it('is bound anew, once, where the gateway knows it no more; then it has failed', async () => {
    const sent = session.send('one');
    const rejected = expect(sent).rejects.toMatchObject({ code: 'session_not_found' });
    await settled();
    connection.last.answer(refusal('session_not_found'));
    await settled();
    expect(connection.last.name).toBe('session:open');
    connection.last.answer({
      ok: false,
      error: { code: 'session_not_found', message: '', retryable: false },
    });
    await rejected;
    expect(session.state).toMatchObject({ connection: 'failed', error: { code: 'session_not_found' } });
    expect(gone).toBe(true);
  });

  it('opens again a moment later where it cannot be opened now', async () => {
    member.unbound();
    member.failed(Object.assign(new Error(), { code: 'unavailable', retryable: true }) as never);
    expect(connection.asked).toHaveLength(0);
    await jest.advanceTimersByTimeAsync(3_000);
    expect(connection.last.name).toBe('session:open');
    connection.last.answer({ ok: true, data: OPENED });
    expect(session.state.connection).toBe('connected');
  });
});
