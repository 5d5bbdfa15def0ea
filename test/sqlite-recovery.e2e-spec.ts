import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SqliteTables, type SqliteOptions } from '../src/sessions/embedded/sqlite.tables.js';
import { StoreUnavailable } from '../src/sessions/session.store.js';
import { embeddedStore, FakeClock, NO_CHECKPOINTS } from './contract/embedded.stores.js';
import { operations, Performer } from './contract/operations.js';
import { newSession, SessionDriver, type StoreUnderTest } from './contract/store.driver.js';
import { until } from './support/channel.js';

const CHILD = fileURLToPath(new URL('./support/store.child.mjs', import.meta.url));
const SESSIONS = ['session-number-one', 'session-number-two'];

let root: string;
const clock = new FakeClock();
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mooring-recovery-'));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(root, { recursive: true, force: true });
});

function openTables(folder: string, options: Partial<SqliteOptions> = {}): SqliteTables {
  const tables = SqliteTables.open({ dataDir: folder, clock, checkpoints: NO_CHECKPOINTS, ...options });
  cleanups.push(() => tables.close());
  return tables;
}

function open(folder: string, options?: Partial<SqliteOptions>): StoreUnderTest {
  return embeddedStore(openTables(folder, options), clock);
}

/** What a kill -9 at this moment leaves on the disk. */
async function afterCrash(folder: string): Promise<string> {
  const copy = mkdtempSync(join(root, 'crashed-'));
  for (const file of ['mooring.sqlite', 'mooring.sqlite-wal']) {
    if (existsSync(join(folder, file))) await cp(join(folder, file), join(copy, file));
  }
  return copy;
}

/** The same session, through another store. */
function elsewhere(talk: SessionDriver, under: StoreUnderTest): SessionDriver {
  return SessionDriver.of(under, talk.sessionId);
}

describe('a SQLite store that is opened again', () => {
  it('after a close holds all that it held, and everyone is detached', async () => {
    const folder = join(root, 'made', 'if', 'absent');
    const first = open(folder);
    const talk = await (await SessionDriver.create(first, { metadata: { color: 'red' } })).attach();
    const early = await talk.position();
    await talk.turn('m1');
    await talk.accept({ kind: 'cancel' });
    const before = [await talk.read(), await talk.read(early), await talk.messages(), await talk.open()];
    await first.close();
    clock.advance(1_000);
    const second = open(folder);
    const again = elsewhere(talk, second);
    const found = await again.open();
    expect([await again.read(), await again.read(early), await again.messages(), found]).toEqual([
      ...before.slice(0, 3),
      { ...(before[3] as object), idleSince: clock.now() },
    ]);
    expect((await second.store.list({ limit: 5 })).sessions).toMatchObject([
      { attached: false, busy: false },
    ]);
    expect(await again.send('m1')).toMatchObject({ kind: 'duplicate', state: 'completed' });
  });

  it('after a crash amid a turn gives it up as abandoned, and replays from any position', async () => {
    const folder = join(root, 'data');
    const talk = await SessionDriver.create(open(folder));
    await talk.turn('m1');
    await talk.send('m2');
    const begun = await talk.begin();
    await talk.say(begun, 'a');
    const amid = await talk.position();
    await talk.say(begun, 'b');
    await talk.send('m3');
    await talk.say(begun, 'c');
    const before = [await talk.read(), await talk.read(amid)];

    const under = open(await afterCrash(folder));
    const again = elsewhere(talk, under);
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
    const folders = { next: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(operations(SESSIONS.length), { minLength: 1, maxLength: 3 }),
        async (lists) => {
          folders.next += 1;
          const closing = join(root, `closing-${folders.next}`);
          let crashing = join(root, `crashing-${folders.next}`);
          mkdirSync(crashing);
          const start = clock.now();
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
              await a.under.close();
              a.under = openAt(closing, clockA);
              crashing = await afterCrash(crashing);
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

  it('after the machine itself stopped begins new epochs, unless it was closed before', async () => {
    const folder = join(root, 'data');
    const first = open(folder, { bootId: 'one' });
    const talk = await SessionDriver.create(first);
    await talk.turn('m1');
    const position = await talk.position();
    const crashed = await afterCrash(folder);

    const sameBoot = open(await afterCrash(crashed), { bootId: 'one' });
    expect(await elsewhere(talk, sameBoot).read(position)).toMatchObject({ recovered: true });
    const otherBoot = open(crashed, { bootId: 'two' });
    const reading = await elsewhere(talk, otherBoot).read(position);
    expect(reading).toMatchObject({ recovered: false, position: { seq: position.seq } });
    expect(reading.position.epoch).not.toBe(position.epoch);
    expect(reading.messages).toHaveLength(2);

    await first.close();
    const closed = open(folder, { bootId: 'two' });
    expect(await elsewhere(talk, closed).read(position)).toMatchObject({ recovered: true });
  });
});

describe('the journal', () => {
  it('is cut as turns end, and sealed where one turn runs for long', async () => {
    const tables = openTables(join(root, 'data'));
    const under = embeddedStore(tables, clock);
    const long = await SessionDriver.create(under);
    await long.send('m1');
    const begun = await long.begin();
    const early = await long.position();
    const rows = (): unknown => {
      const db = new DatabaseSync(join(root, 'data', 'mooring.sqlite'), { readOnly: true });
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
    const again = elsewhere(long, open(await afterCrash(join(root, 'data'))));
    expect(await again.read(early)).toEqual(reading);
  });
});

describe('a process that is killed', () => {
  function child(folder: string, sessions: number): { process: ChildProcess; lines: string[] } {
    const spawned = spawn(process.execPath, [CHILD, folder, String(sessions)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    cleanups.push(() => spawned.kill('SIGKILL'));
    const lines: string[] = [];
    let rest = '';
    spawned.stdout?.on('data', (data: Buffer) => {
      const pieces = (rest + data.toString()).split('\n');
      rest = pieces.pop() ?? '';
      lines.push(...pieces);
    });
    return { process: spawned, lines };
  }

  it('has lost nothing that it acknowledged, and leaves its turns to the next', async () => {
    for (let round = 0; round < 5; round += 1) {
      const folder = join(root, `data-${round}`);
      const writer = child(folder, 8);
      await until(() => writer.lines.length > 50 + round * 300, 'appends');
      const closed = new Promise((resolve) => writer.process.once('close', resolve));
      writer.process.kill('SIGKILL');
      await closed;
      const acknowledged = new Map<string, { seq: number; words: number }>();
      for (const line of writer.lines) {
        const [session, seq, words] = line.split(' ');
        if (seq !== undefined) acknowledged.set(`${session}`, { seq: Number(seq), words: Number(words) });
      }
      expect(acknowledged.size).toBe(8);

      const under = open(folder);
      const due = await under.lease.due();
      for (const [session, { seq, words }] of acknowledged) {
        const talk = SessionDriver.of(under, `session-number-${session}`);
        expect(due).toContain(talk.sessionId);
        const { position, events, turns } = await talk.read();
        expect(position.seq).toBeGreaterThanOrEqual(seq);
        expect(turns.map(({ state }) => state)).toEqual(['running', 'queued']);
        const text = events.flatMap((event) =>
          event.type === 'chunk' && event.chunk.type === 'text-delta' ? [event.chunk.delta] : [],
        );
        const kept = text.join('').split(' ').slice(0, -1);
        expect(kept.length).toBeGreaterThanOrEqual(words);
        expect(kept).toEqual(kept.map((_, index) => String(index)));
        expect(await talk.read({ ...position, seq: seq - 1 })).toMatchObject({ recovered: true });
      }
      await under.close();
    }
  });

  it('had the folder to itself until then', async () => {
    const folder = join(root, 'data');
    const writer = child(folder, 1);
    await until(() => writer.lines.length > 1, 'appends');
    expect(() => open(folder)).toThrow(`DATA_DIR: ${folder} is in use by another process`);
    const second = child(folder, 1);
    await new Promise((resolve) => second.process.once('close', resolve));
    expect(second.lines.join()).toMatch('is in use by another process');
    const closed = new Promise((resolve) => writer.process.once('close', resolve));
    writer.process.kill('SIGKILL');
    await closed;
    expect(await open(folder).lease.due()).toHaveLength(1);
  });
});

describe('a file that cannot be used', () => {
  const file = (folder: string): string => join(folder, 'mooring.sqlite');

  it('of a newer version is refused, and left as it is', async () => {
    const folder = join(root, 'data');
    await open(folder).close();
    const db = new DatabaseSync(file(folder));
    db.exec('PRAGMA user_version = 99');
    db.close();
    expect(() => open(folder)).toThrow(/mooring\.sqlite cannot be used: it was written by a newer version/);
    const again = new DatabaseSync(file(folder));
    expect(again.prepare('PRAGMA user_version').get()).toEqual({ user_version: 99 });
    again.exec('PRAGMA user_version = 1');
    again.close();
    expect(() => open(folder)).not.toThrow();
  });

  it('of another program is refused', () => {
    const folder = join(root, 'data');
    mkdirSync(folder);
    const db = new DatabaseSync(file(folder));
    db.exec('CREATE TABLE theirs (x)');
    db.close();
    expect(() => open(folder)).toThrow(/mooring\.sqlite cannot be used: it holds something else/);
  });

  it('that is damaged is named, and not touched', async () => {
    const folder = join(root, 'data');
    mkdirSync(folder);
    writeFileSync(file(folder), 'no database at all '.repeat(1_000));
    const bytes = readFileSync(file(folder));
    expect(() => open(folder)).toThrow(`${file(folder)} is damaged`);
    expect(readFileSync(file(folder))).toEqual(bytes);
    // And one of ours, whose middle was overwritten.
    const other = join(root, 'other');
    const under = open(other);
    await SessionDriver.create(under);
    await under.close();
    const ours = readFileSync(file(other));
    ours.fill(0xff, 100, ours.length);
    writeFileSync(file(other), ours);
    expect(() => open(other)).toThrow(`${file(other)} is damaged`);
    expect(readFileSync(file(other))).toEqual(ours);
  });

  it('that cannot be made is named', () => {
    writeFileSync(join(root, 'file'), '');
    expect(() => open(join(root, 'file', 'data'))).toThrow(/DATA_DIR: .*file\/data cannot be used/);
    mkdirSync(join(root, 'blocked', 'mooring.sqlite'), { recursive: true });
    expect(() => open(join(root, 'blocked'))).toThrow(/mooring\.sqlite cannot be used/);
  });
});

/** A file system of a few MiB, where this user may mount one. */
function smallDisk(): string | undefined {
  const folder = join(root, 'small');
  mkdirSync(folder);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  cleanups.push(() => execFileSync('umount', [folder]));
  return folder;
}

describe('a full disk', () => {
  it('refuses writes and nothing else, and is forgotten when there is room again', async () => {
    const disk = smallDisk();
    const folder = join(disk ?? root, 'data');
    const tables = openTables(folder);
    const under = embeddedStore(tables, clock);
    const talk = await SessionDriver.create(under);
    await talk.turn('m1');
    await talk.send('m2');
    const begun = await talk.begin();
    await talk.say(begun, 'kept ');
    const makeRoom = disk ? fill(join(disk, 'filler')) : fillByLimit(tables);

    const before = [await talk.read(), await talk.messages()];
    const big = 'x'.repeat(200_000);
    let refused = 0;
    for (let attempt = 0; attempt < 20; attempt += 1) {
      await talk.say(begun, big).catch((error: unknown) => {
        expect(error).toBeInstanceOf(StoreUnavailable);
        refused += 1;
      });
      if (refused > 0) break;
    }
    expect(refused).toBe(1);
    await expect(talk.send('m3', { text: big })).rejects.toThrow(StoreUnavailable);
    await expect(under.store.open('another-session-id', newSession({ metadata: { big } }))).rejects.toThrow(
      StoreUnavailable,
    );
    expect(await talk.messages()).toEqual(before[1]);
    const { position } = await talk.read();
    // Whoever comes and goes meanwhile is not kept waiting, and not forgotten.
    await talk.attach();
    await talk.detach();
    expect((await under.store.list({ limit: 5 })).sessions).toMatchObject([{ attached: false, busy: true }]);

    makeRoom();
    expect(await talk.say(begun, 'and on')).toMatchObject({
      kind: 'appended',
      packet: { from: position.seq },
    });
    expect(await talk.send('m3', { text: big })).toMatchObject({ kind: 'accepted' });
    expect(await under.store.open('another-session-id')).toBeUndefined();
    await talk.end(begun);
    const after = await talk.messages();
    await under.close();
    expect(await elsewhere(talk, open(folder)).messages()).toEqual(after);
  });
});

/** Takes all that is left of a disk; gives it back when it is called. */
function fill(path: string): () => void {
  for (let size = 8_000_000; size > 500;) {
    try {
      writeFileSync(path, Buffer.alloc(size), { flag: 'a' });
    } catch {
      size = Math.floor(size / 2);
    }
  }
  return () => rmSync(path);
}

/** The same by the engine's own limit, where nothing can be mounted. */
function fillByLimit(tables: SqliteTables): () => void {
  const { db } = (tables as unknown as { file: { db: DatabaseSync } }).file;
  db.exec('PRAGMA max_page_count = 1');
  return () => db.exec('PRAGMA max_page_count = 1000000');
}
