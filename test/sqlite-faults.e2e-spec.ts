import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { SqliteTables } from '../src/sessions/sqlite/sqlite.tables.js';
import { StoreUnavailable } from '../src/sessions/session.store.js';
import { embeddedStore } from './contract/embedded.stores.js';
import { newSession, SessionDriver } from './contract/store.driver.js';
import { until } from './support/channel.js';
import { SqliteFolders } from './support/sqlite.folders.js';

const CHILD = fileURLToPath(new URL('./support/store.child.mjs', import.meta.url));

let folders: SqliteFolders;
beforeEach(() => {
  folders = new SqliteFolders();
});
afterEach(() => folders.dispose());

describe('a process that is killed', () => {
  function child(folder: string, sessions: number): { process: ChildProcess; lines: string[] } {
    const spawned = spawn(process.execPath, [CHILD, folder, String(sessions)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    folders.onDispose(() => spawned.kill('SIGKILL'));
    const lines: string[] = [];
    let rest = '';
    spawned.stdout?.on('data', (data: Buffer) => {
      const pieces = (rest + data.toString()).split('\n');
      rest = pieces.pop() ?? '';
      lines.push(...pieces);
    });
    return { process: spawned, lines };
  }

  it('[STO-2] has lost nothing that it acknowledged, and leaves its turns to the next', async () => {
    for (let round = 0; round < 5; round += 1) {
      const folder = folders.path(`data-${round}`);
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

      const under = folders.open(folder);
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

  it('[STO-5] had the folder to itself until then', async () => {
    const folder = folders.path('data');
    const writer = child(folder, 1);
    await until(() => writer.lines.length > 1, 'appends');
    expect(() => folders.open(folder)).toThrow(`DATA_DIR: ${folder} is in use by another process`);
    const second = child(folder, 1);
    await new Promise((resolve) => second.process.once('close', resolve));
    expect(second.lines.join()).toMatch('is in use by another process');
    const closed = new Promise((resolve) => writer.process.once('close', resolve));
    writer.process.kill('SIGKILL');
    await closed;
    expect(await folders.open(folder).lease.due()).toHaveLength(1);
  });
});

describe('a file of before', () => {
  it('[STO-9] of an earlier build, without what was added since, is taken up with its sessions', async () => {
    const folder = folders.path('data');
    const before = folders.open(folder);
    const talk = await SessionDriver.create(before, { owner: { kind: 'subject', sub: 'ada' } });
    await talk.turn('m1');
    await before.close();
    const db = new DatabaseSync(join(folder, 'mooring.sqlite'));
    db.exec('DROP TABLE spendings');
    db.close();
    const after = SessionDriver.of(folders.open(folder), talk.sessionId);
    expect(await after.messageIds()).toEqual(['m1', 'answer of turn of m1']);
    await after.send('m2', { tokensPerDay: 1 });
    const begun = await after.begin();
    const usage = { inputTokens: 1, outputTokens: 1, estimated: false };
    await after.end(begun, { state: 'completed', finishReason: 'stop' }, usage);
    expect(await after.send('m3', { tokensPerDay: 1 })).toMatchObject({ kind: 'spent' });
  });
});

describe('a file that cannot be used', () => {
  const file = (folder: string): string => join(folder, 'mooring.sqlite');

  it('[STO-5] of a newer version is refused, and left as it is', async () => {
    const folder = folders.path('data');
    await folders.open(folder).close();
    const db = new DatabaseSync(file(folder));
    db.exec('PRAGMA user_version = 99');
    db.close();
    expect(() => folders.open(folder)).toThrow(
      /mooring\.sqlite cannot be used: it was written by a newer version/,
    );
    const again = new DatabaseSync(file(folder));
    expect(again.prepare('PRAGMA user_version').get()).toEqual({ user_version: 99 });
    again.exec('PRAGMA user_version = 1');
    again.close();
    expect(() => folders.open(folder)).not.toThrow();
  });

  it('of another program is refused', () => {
    const folder = folders.path('data');
    mkdirSync(folder);
    const db = new DatabaseSync(file(folder));
    db.exec('CREATE TABLE theirs (x)');
    db.close();
    expect(() => folders.open(folder)).toThrow(/mooring\.sqlite cannot be used: it holds something else/);
  });

  it('[STO-5] that is damaged is named, and not touched', async () => {
    const folder = folders.path('data');
    mkdirSync(folder);
    writeFileSync(file(folder), 'no database at all '.repeat(1_000));
    const bytes = readFileSync(file(folder));
    expect(() => folders.open(folder)).toThrow(`${file(folder)} is damaged`);
    expect(readFileSync(file(folder))).toEqual(bytes);
    // And one of ours, whose middle was overwritten.
    const other = folders.path('other');
    const under = folders.open(other);
    await SessionDriver.create(under);
    await under.close();
    const ours = readFileSync(file(other));
    ours.fill(0xff, 100, ours.length);
    writeFileSync(file(other), ours);
    expect(() => folders.open(other)).toThrow(`${file(other)} is damaged`);
    expect(readFileSync(file(other))).toEqual(ours);
  });

  it('[STO-5] that cannot be made is named', () => {
    writeFileSync(folders.path('file'), '');
    expect(() => folders.open(folders.path('file', 'data'))).toThrow(/DATA_DIR: .*file\/data cannot be used/);
    mkdirSync(folders.path('blocked', 'mooring.sqlite'), { recursive: true });
    expect(() => folders.open(folders.path('blocked'))).toThrow(/mooring\.sqlite cannot be used/);
  });
});

/** A file system of a few MiB, where this user may mount one. */
function smallDisk(): string | undefined {
  const folder = folders.path('small');
  mkdirSync(folder);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  folders.onDispose(() => execFileSync('umount', [folder]));
  return folder;
}

describe('a full disk', () => {
  it('[STO-4] refuses writes and nothing else, and is forgotten when there is room again', async () => {
    const disk = smallDisk();
    const folder = join(disk ?? folders.root, 'data');
    const tables = folders.openTables(folder);
    const under = embeddedStore(tables, folders.clock);
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
    await expect(
      under.store.open('another-session-id', () => newSession({ metadata: { big } })),
    ).rejects.toThrow(StoreUnavailable);
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
    expect(await SessionDriver.of(folders.open(folder), talk.sessionId).messages()).toEqual(after);
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
