import { afterEach, describe, expect, it } from '@jest/globals';
import { LIMITS, type OpenedSession, type Position } from '../src/protocol.js';
import { until } from './support/channel.js';
import { newCredentials, textOf } from './support/client.js';
import { disposeAll, gateway } from './support/gateway.js';

describe.each(['memory', 'sqlite'])('resume, %s store', (STORE) => {
  afterEach(disposeAll);

  it('[RES-2 EVT-1] a client that is cut again and again holds the whole answer, each event once and in order', async () => {
    const { client, model } = await gateway({ STORE });
    const credentials = newCredentials();
    let position: Position | undefined;
    const held: string[] = [];
    const seqs: number[] = [];
    let call: Awaited<ReturnType<typeof model.nextCall>> | undefined;
    const words = Array.from({ length: 60 }, (_, index) => `${index} `);
    for (let cut = 0; cut < 20; cut += 1) {
      const socket = await client();
      const opened: OpenedSession = await socket.open({ ...credentials, create: true, position });
      if (position) expect(opened.recovered).toBe(true);
      if (!call) {
        await socket.send(credentials.sessionId, 'Count.');
        call = (await model.nextCall()).begin();
      }
      held.push(textOf(opened.events));
      seqs.push(...opened.events.map(({ seq }) => seq));
      call.text(...words.slice(cut * 3, cut * 3 + 3));
      await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
      let { seq } = opened.position;
      for (const packet of socket.received) {
        expect(packet.from).toBe(seq);
        seq = packet.to;
      }
      held.push(textOf(socket.events));
      seqs.push(...socket.events.map((event) => event.seq));
      position = { epoch: opened.position.epoch, seq };
      socket.vanish();
    }
    call?.finish();
    const last = await client();
    await until(async () => {
      const opened = await last.open({ ...credentials, position });
      held.push(textOf(opened.events));
      position = opened.position;
      return opened.turns.length === 0;
    });
    expect(held.join('') + textOf(last.events)).toBe(words.join(''));
    expect(seqs).toEqual([...seqs].sort((one, other) => one - other));
    expect(new Set(seqs).size).toBe(seqs.length);
  });

  it('[RES-4] [RES-8] [RES-9] a snapshot in the middle of an answer holds the messages, the waiting turns and all of the running one', async () => {
    const { client, model } = await gateway({ STORE });
    const socket = await client();
    const credentials = newCredentials();
    const { sessionId } = credentials;
    await socket.open({ ...credentials, create: true });
    const one = await socket.send(sessionId, 'one');
    (await model.nextCall()).begin().text('a', 'b', 'c');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    const two = await socket.send(sessionId, 'two');
    const fresh = await client();
    await until(async () => textOf((await fresh.open(credentials)).events) === 'abc');
    const opened = await fresh.open(credentials);
    expect(opened.recovered).toBe(false);
    expect(opened.turns).toEqual([
      { turnId: one.turnId, messageId: one.messageId, state: 'running' },
      { turnId: two.turnId, messageId: two.messageId, state: 'queued' },
    ]);
    expect(opened.messages.map(({ id }) => id)).toEqual([one.messageId, two.messageId]);
    expect(opened.events[0]).toMatchObject({ type: 'turn', turnId: two.turnId, state: 'queued' });
    expect(opened.events[1]).toMatchObject({ type: 'turn', turnId: one.turnId, state: 'running' });
    const chunks = opened.events.flatMap((event) => (event.type === 'chunk' ? [event.chunk.type] : []));
    expect(chunks).toEqual(['start', 'start-step', 'text-start', 'text-delta']);
  });

  it('[RES-3] a position that cannot be honoured gets a snapshot: another epoch, or ahead of the log', async () => {
    const { client, model } = await gateway({ STORE });
    model.autoAnswer = (call) => call.answer('ok');
    const socket = await client();
    const credentials = newCredentials();
    const opened = await socket.open({ ...credentials, create: true });
    await socket.send(credentials.sessionId, 'one');
    await socket.turn('completed');
    const { epoch, seq } = socket.position(opened);
    const open = (position: Position) => socket.open({ ...credentials, position });
    expect(await open({ epoch, seq })).toMatchObject({ recovered: true, events: [], messages: [] });
    expect(await open({ epoch, seq: 0 })).toMatchObject({ recovered: true, messages: [] });
    for (const position of [
      { epoch: 'other', seq },
      { epoch, seq: seq + 1 },
    ]) {
      const snapshot = await open(position);
      expect(snapshot).toMatchObject({ recovered: false, events: [], position: { epoch, seq } });
      expect(snapshot.messages).toHaveLength(2);
    }
  });

  it('[RES-10] [LIM-6] a replay past what a socket may hold comes in pieces, and then what comes live', async () => {
    const { client, model } = await gateway({ STORE });
    const [watcher, late] = [await client(), await client()];
    const credentials = newCredentials();
    const { position } = await watcher.open({ ...credentials, create: true });
    await watcher.send(credentials.sessionId, 'A long story.');
    const call = (await model.nextCall()).begin();
    const piece = 'x'.repeat(64 * 1024);
    const pieces = (4 * LIMITS.unsentBytes) / piece.length;
    for (let count = 0; count < pieces; count += 1) {
      call.text(piece);
      await watcher.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    }
    const opened = await late.open({ ...credentials, position });
    expect(opened.recovered).toBe(true);
    expect(textOf(opened.events).length).toBeLessThanOrEqual(LIMITS.replayLength);
    call.text('the end').finish();
    await late.turn('completed');
    const whole = textOf([...opened.events, ...late.events]);
    expect([whole.length, whole.slice(-8)]).toEqual([4 * LIMITS.unsentBytes + 7, 'xthe end']);
    let { seq } = opened.position;
    for (const { from, to, events } of late.received) {
      expect(from).toBe(seq);
      expect(textOf(events).length).toBeLessThanOrEqual(LIMITS.replayLength);
      seq = to;
    }
    expect(late.received.length).toBeGreaterThan(4);
  });

  it('[RES-10] an ended answer is replayed to its end, also where one piece is longer than a step', async () => {
    const { client, model } = await gateway({ STORE });
    const [watcher, late] = [await client(), await client()];
    const credentials = newCredentials();
    const { position } = await watcher.open({ ...credentials, create: true });
    await watcher.send(credentials.sessionId, 'A long story.');
    const call = (await model.nextCall()).begin();
    const pieces = Array.from('abcde', (letter) => letter.repeat(LIMITS.replayLength + 1));
    for (const piece of pieces) {
      call.text(piece);
      await watcher.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    }
    call.finish();
    await watcher.turn('completed');
    const opened = await late.open({ ...credentials, position });
    await late.turn('completed');
    expect(textOf([...opened.events, ...late.events]) === pieces.join('')).toBe(true);
  });

  it('[RES-6] past the resume window an ended turn is a snapshot', async () => {
    const { client, model } = await gateway({ STORE, RESUME_WINDOW: '20ms' });
    model.autoAnswer = (call) => call.answer('ok');
    const socket = await client();
    const credentials = newCredentials();
    const { position } = await socket.open({ ...credentials, create: true });
    await socket.send(credentials.sessionId, 'one');
    await socket.turn('completed');
    await until(
      async () => !(await socket.open({ ...credentials, position })).recovered,
      'the window to pass',
    );
  });

  it('[SES-5] two tabs see the same events; leaving one leaves the other bound', async () => {
    const { client, model } = await gateway({ STORE });
    const credentials = newCredentials();
    const { sessionId } = credentials;
    const [one, two] = [await client(), await client()];
    await one.open({ ...credentials, create: true });
    await two.open(credentials);
    await one.send(sessionId, 'hello');
    (await model.nextCall()).answer('to both');
    await one.turn('completed');
    await two.turn('completed');
    expect(two.events).toEqual(one.events);
    await one.do('session:leave', { sessionId });
    await two.send(sessionId, 'again');
    (await model.nextCall()).answer('to one');
    await two.turn('completed');
    expect(one.packets.size).toBe(0);
  });

  it('[SES-10] a page of history has up to 1 MiB, and at least one message', async () => {
    const { client, model } = await gateway({ STORE });
    model.autoAnswer = (call) => call.answer('x'.repeat(0.6 * LIMITS.historyBytes));
    const socket = await client();
    const { sessionId } = await socket.open({ ...newCredentials(), create: true });
    for (const text of ['one', 'two', 'three']) {
      await socket.send(sessionId, text);
      await socket.turn('completed');
    }
    const lengths: number[] = [];
    for (let before: string | undefined, hasMore = true; hasMore;) {
      const page = await socket.do('session:history', { sessionId, limit: 100, before });
      lengths.push(page.messages.length);
      ({ hasMore } = page);
      before = page.messages[0]?.id;
    }
    expect(lengths).toEqual([2, 2, 2]);
  });

  it('[SES-10 RES-4] history pages backwards, and a snapshot holds the last fifty', async () => {
    const { client, model } = await gateway({ STORE });
    model.autoAnswer = (call) => call.answer(`re: ${call.asked}`);
    const socket = await client();
    const credentials = newCredentials();
    const { sessionId } = credentials;
    await socket.open({ ...credentials, create: true });
    for (let count = 0; count < 28; count += 1) {
      const { turnId } = await socket.send(sessionId, `${count}`);
      await socket.turn('completed', turnId);
    }
    const fresh = await client();
    const opened = await fresh.open(credentials);
    expect(opened).toMatchObject({ recovered: false, hasMore: true });
    expect(opened.messages).toHaveLength(LIMITS.snapshotMessages);
    const older = await fresh.do('session:history', { sessionId, before: opened.messages[0]?.id, limit: 4 });
    expect(older.hasMore).toBe(true);
    expect(older.messages).toHaveLength(4);
    const oldest = await fresh.do('session:history', { sessionId, before: older.messages[0]?.id });
    expect(oldest.hasMore).toBe(false);
    expect(oldest.messages).toHaveLength(56 - 50 - 4);
  });
});
