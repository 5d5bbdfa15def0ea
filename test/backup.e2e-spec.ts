import { mkdirSync, readFileSync } from 'node:fs';
import { backup, DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SessionDriver } from './contract/store.driver.js';
import { SqliteFolders } from './support/sqlite.folders.js';

const PAGE = readFileSync(new URL('../docs/deployment.md', import.meta.url), 'utf8');
/** What tells a copy that it is one. */
const [, MARK = ''] = /"(UPDATE meta [^"]+)"/.exec(PAGE) ?? [];

let folders: SqliteFolders;
beforeEach(() => {
  folders = new SqliteFolders();
});
afterEach(() => folders.dispose());

describe('a backup that was made of a running store', () => {
  it.each([
    ['as docs/deployment.md says: nobody takes what came after it for what was lost', MARK, false],
    ['without its first line: that is what it is for', 'SELECT 1', true],
  ])('[IMG-7] restored %s', async (_, sql, recovered) => {
    const living = folders.open(folders.path('living'));
    const talk = await SessionDriver.create(living);
    await talk.turn('m1');
    const kept = await talk.messages();
    const file = new DatabaseSync(folders.path('living', 'mooring.sqlite'), { readOnly: true });
    mkdirSync(folders.path('restored'));
    await backup(file, folders.path('restored', 'mooring.sqlite'));
    file.close();
    await talk.turn('lost');
    const seen = await talk.position();

    const db = new DatabaseSync(folders.path('restored', 'mooring.sqlite'));
    db.exec(sql);
    db.close();
    const again = SessionDriver.of(folders.open(folders.path('restored')), talk.sessionId);
    expect(await again.messages()).toEqual(kept);
    await again.turn('m2');
    await again.turn('m3');
    expect(await again.read(seen)).toMatchObject({ recovered });
  });
});
