import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { LIMITS } from '../src/protocol.js';
import { SqliteTables } from '../src/sessions/sqlite/sqlite.tables.js';
import { embeddedStore, FakeClock, NO_CHECKPOINTS } from './contract/embedded.stores.js';
import { operations } from './contract/operations.js';
import { Performer } from './contract/performer.js';
import { newSession, SessionDriver, type StoreUnderTest } from './contract/store.driver.js';
import { until } from './support/channel.js';
import { SqliteFolders } from './support/sqlite.folders.js';

const LAST_COMMIT = 'session-of-last-moment';
const SESSIONS = ['session-number-one', 'session-number-two'];

let folders: SqliteFolders;
beforeEach(() => {
  folders = new SqliteFolders();
});
afterEach(() => folders.dispose());

describe('a SQLite store that is opened again', () => {
  it('after a close holds all that it held, and everyone is detached', async () => {
    const folder = folders.path('made', 'if', 'absent');
    const first = folders.open(folder);
    const talk = await (await SessionDriver.create(first, { metadata: { color: 'red' } })).attach();
    const early = await talk.position();
    await talk.turn('m1');
    await talk.accept({ kind: 'cancel' });
    const before = [await talk.read(), await talk.read(early), await talk.messages(), await talk.open()];
    await first.close();
    folders.clock.advance(1_000);
    const second = folders.open(folder);
    const again = SessionDriver.of(second, talk.sessionId);
    const found = await again.open();
    expect([await again.read(), await again.read(early), await again.messages(), found]).toEqual([
      ...before.slice(0, 3),
      { ...(before[3] as object), idleSince: folders.clock.now() },
    ]);
    expect((await second.store.list({ limit: 5 })).sessions).toMatchObject([
      { attached: false, busy: false },
    ]);
    expect(await again.send('m1')).toMatchObject({ kind: 'duplicate', state: 'completed' });
  });

  it('[STO-2] after a crash amid a turn gives it up as abandoned, and replays from any position', async () => {
    const folder = folders.path('data');
    const talk = await SessionDriver.create(folders.open(folder));
    await talk.turn('m1');
    await talk.send('m2');
    const begun = await talk.begin();
    await talk.say(begun, 'a');
    const amid = await talk.position();
    await talk.say(begun, 'b');
    await talk.send('m3');
    await talk.say(begun, 'c');
    const before = [await talk.read(), await talk.read(amid)];

    const under = folders.open(await folders.afterCrash(folder));
    const again = SessionDriver.of(under, talk.sessionId);
    expect([await again.read(), await again.read(amid)]).toEqual(before);
    expect(await under.lease.due()).toEqual([talk.sessionId]);
    const fence = await again.claim();
    const next = await again.next(fence);
    expect(next).toMatchObject({ kind: 'abandoned', turn: begun.turn });
    if (next.kind === 'abandoned') expect(next.events.at(-1)).toMatchObject({ chunk: { delta: 'c' } });
    await again.end({ ...begun, fence }, { state: 'interrupted', reason: 'node_lost' });
    expect((await again.begin(fence)).turn.messageId).toBe('m3');
    // Long after the end of the turn its first events, which the crash put apart, are gone with the others.
    await again.under.elapse(again.under.resumeWindowMs + 1);
    expect(await again.read(amid)).toMatchObject({ recovered: false });
  });

  it('whatever was done before, crashed or closed, goes on as if nothing had happened', async () => {
    const count = { runs: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(operations(SESSIONS.length), { minLength: 1, maxLength: 3 }),
        async (lists) => {
          count.runs += 1;
          const closing = folders.path(`closing-${count.runs}`);
          let crashing = folders.path(`crashing-${count.runs}`);
          mkdirSync(crashing);
          const start = folders.clock.now();
          const [clockA, clockB] = [new FakeClock(start), new FakeClock(start)];
          const openAt = (dataDir: string, own: FakeClock): StoreUnderTest =>
            embeddedStore(SqliteTables.open({ dataDir, clock: own, checkpoints: NO_CHECKPOINTS }), own);
          const a = new Performer(openAt(closing, clockA), SESSIONS);
          const b = new Performer(openAt(crashing, clockB), SESSIONS);
          const same = async (what: (performer: Performer) => Promise<unknown>): Promise<string> => {
            const expected = a.nameless(await what(a));
            expect(b.nameless(await what(b))).toEqual(expected);
            return expected;
          };
          try {
            await a.start();
            await b.start();
            for (const list of lists) {
              for (const operation of list)
                expect(await b.perform(operation)).toEqual(await a.perform(operation));
              const states = async (performer: Performer): Promise<unknown> => {
                const readings: unknown[] = [];
                for (const session of SESSIONS.keys()) {
                  const present = await performer.read(session);
                  readings.push(present);
                  for (let back = 1; present && back <= present.position.seq; back += 3) {
                    const { epoch, seq } = present.position;
                    readings.push(await performer.read(session, { epoch, seq: seq - back }));
                  }
                }
                return readings;
              };
              const before = await same(states);
              // Who came or went in the last moment is on the disk with the next commit, and else soon.
              await same(({ under }) => under.store.open(LAST_COMMIT, () => newSession()));
              await a.under.close();
              a.under = openAt(closing, clockA);
              crashing = await folders.afterCrash(crashing);
              await b.under.close();
              b.under = openAt(crashing, clockB);
              a.forgetFences();
              b.forgetFences();
              expect(await same(states)).toEqual(before);
              await same(async ({ under }) => (await under.lease.due()).sort());
              await same(({ under }) => under.store.list({ limit: 5 }));
            }
          } finally {
            await a.under.close();
            await b.under.close();
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('[STO-3] after the machine itself stopped begins new epochs, unless it was closed before', async () => {
    const folder = folders.path('data');
    const first = folders.open(folder, { bootId: 'one' });
    const talk = await SessionDriver.create(first);
    await talk.turn('m1');
    const position = await talk.position();
    const crashed = await folders.afterCrash(folder);

    const sameBoot = folders.open(await folders.afterCrash(crashed), { bootId: 'one' });
    expect(await SessionDriver.of(sameBoot, talk.sessionId).read(position)).toMatchObject({
      recovered: true,
    });
    const otherBoot = folders.open(crashed, { bootId: 'two' });
    const reading = await SessionDriver.of(otherBoot, talk.sessionId).read(position);
    expect(reading).toMatchObject({ recovered: false, position: { seq: position.seq } });
    expect(reading.position.epoch).not.toBe(position.epoch);
    expect(reading.messages).toHaveLength(2);

    await first.close();
    const closed = folders.open(folder, { bootId: 'two' });
    expect(await SessionDriver.of(closed, talk.sessionId).read(position)).toMatchObject({ recovered: true });
  });
});

describe('the journal', () => {
  it('is cut as turns end, and sealed where one turn runs for long', async () => {
    const tables = folders.openTables(folders.path('data'));
    const under = embeddedStore(tables, folders.clock);
    const long = await SessionDriver.create(under);
    await long.send('m1');
    const begun = await long.begin();
    const early = await long.position();
    const rows = (): unknown => {
      const db = new DatabaseSync(folders.path('data', 'mooring.sqlite'), { readOnly: true });
      const row = db.prepare('SELECT count(*) AS rows, sum(length(entries)) AS bytes FROM journal').get();
      db.close();
      return { rows: row?.rows, bytes: row?.bytes };
    };
    const piece = 'x'.repeat(1024 * 1024);
    for (let written = 0; written < 40; written += 1) await long.say(begun, piece);
    expect(tables.unsealed()).toEqual([long.sessionId]);
    await under.elapse(1);
    expect(tables.unsealed()).toEqual([]);
    await long.say(begun, 'the last');
    await under.elapse(1);
    await until(() => Number((rows() as { bytes: number }).bytes) < 1024 * 1024, 'a short journal');
    const reading = await long.read(early);
    expect(reading).toMatchObject({ recovered: true });
    expect(reading.events).toHaveLength(1);
    const again = SessionDriver.of(
      folders.open(await folders.afterCrash(folders.path('data'))),
      long.sessionId,
    );
    expect(await again.read(early)).toEqual(reading);
  });
});

describe('an id that is used again', () => {
  it('brings nothing back of the session that had it, which the journal may still tell of', async () => {
    const folder = folders.path('data');
    const under = folders.open(folder);
    const holder = await SessionDriver.create(under);
    await holder.send('m1');
    await holder.begin();
    const talk = await SessionDriver.create(under);
    await talk.turn('m1');
    await talk.accept({ kind: 'close', state: 'closed' });
    await under.elapse(LIMITS.tombstoneMs + 1);
    expect(await talk.open(() => newSession())).toMatchObject({ created: true, session: { seq: 0 } });

    const again = SessionDriver.of(folders.open(await folders.afterCrash(folder)), talk.sessionId);
    expect(await again.read()).toMatchObject({ position: { seq: 0 }, messages: [], events: [] });
    await talk.send('other');
    const later = SessionDriver.of(folders.open(await folders.afterCrash(folder)), talk.sessionId);
    expect(await later.read({ ...(await talk.position()), seq: 0 })).toMatchObject({
      recovered: true,
      events: [{ type: 'message', message: { id: 'other' } }, { type: 'turn' }],
    });
  });
});

describe('the checkpointing thread', () => {
  it('moves what was committed into the file while it is open, and ends with it', async () => {
    const folder = folders.path('data');
    const under = folders.open(folder, { checkpoints: undefined });
    const size = (): number => statSync(join(folder, 'mooring.sqlite')).size;
    const before = size();
    const talk = await SessionDriver.create(under);
    await talk.send('m1', { text: 'x'.repeat(100_000) });
    expect(size()).toBe(before);
    await until(() => size() > before + 100_000, 'a checkpoint');
    await under.close();
    expect(existsSync(join(folder, 'mooring.sqlite-wal'))).toBe(false);
  });
});
