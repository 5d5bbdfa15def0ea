import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { SCHEMA_VERSION } from '../src/sessions/sqlite/sqlite.schema.js';
import { until } from './support/channel.js';
import { disposeAll, gateway, temporaryDirectory } from './support/gateway.js';

const STORES = fileURLToPath(new URL('./stores/', import.meta.url));
const KEY = 'k'.repeat(43);
const AT_REST = { sessionId: 'session-that-is-at-rest', key: KEY };
const AMID = { sessionId: 'session-that-was-amid-a-turn', key: KEY };

/** A data folder as an earlier build left it. */
async function folderOf(version: number): Promise<string> {
  const folder = await temporaryDirectory();
  const db = new DatabaseSync(join(folder, 'mooring.sqlite'));
  db.exec(readFileSync(join(STORES, `schema-${version}.sql`), 'utf8'));
  db.close();
  return folder;
}

describe('stores of earlier versions', () => {
  afterEach(disposeAll);

  it('[STO-9] are kept as they were written, one of each schema', () => {
    const versions = Array.from({ length: SCHEMA_VERSION }, (_, index) => index + 1);
    expect(versions.filter((version) => !existsSync(join(STORES, `schema-${version}.sql`)))).toEqual([]);
  });

  it('[STO-9] schema 1, as kill -9 left it before there were spendings: taken up with all that it holds', async () => {
    const env = { STORE: 'sqlite', DATA_DIR: await folderOf(1), SESSION_TTL: '3650d' };
    const { client, model } = await gateway(env);
    // The one that waited runs; the one that ran is over, as far as it came.
    const next = await model.nextCall();
    const socket = await client();
    const rest = await socket.open(AT_REST);
    expect(rest).toMatchObject({ created: false, agent: { id: 'alice' }, turns: [] });
    const { messages } = await socket.do('session:history', { sessionId: AT_REST.sessionId });
    expect(messages).toMatchObject([
      { id: 'm1', role: 'user', parts: [{ text: '/tool current_time {}' }] },
      {
        role: 'assistant',
        metadata: { turnId: '8e7f0073-326f-436b-a861-6a473ae0ab26' },
      },
    ]);
    expect(messages[1]?.parts.map(({ type }) => type)).toContain('tool-current_time');
    const again = { sessionId: AT_REST.sessionId, messageId: 'm1', text: '/tool current_time {}' };
    expect(await socket.do('message:send', again)).toMatchObject({ duplicate: true, state: 'completed' });

    await socket.open(AMID);
    next.answer('At last.');
    await socket.turn('completed');
    const amid = await socket.do('session:history', { sessionId: AMID.sessionId });
    expect(amid.messages).toMatchObject([
      { id: 'm1' },
      {
        metadata: { turnId: '10941781-dd44-4432-ae6b-42dfb55c50cd', status: 'interrupted' },
        parts: [{ type: 'step-start' }, { type: 'text', text: expect.stringMatching(/^word-1 .*word-12 $/) }],
      },
      { id: 'm2' },
      { parts: [{ type: 'step-start' }, { text: 'At last.' }] },
    ]);
    expect(await socket.refused('session:open', { ...AMID, key: 'x'.repeat(43) })).toBe('session_not_found');
  });

  it('[STO-9] an earlier build may take the file back: what was added is nothing that it misses', async () => {
    const folder = await folderOf(1);
    const env = { STORE: 'sqlite', DATA_DIR: folder, SESSION_TTL: '3650d' };
    const { model, stop } = await gateway(env);
    (await model.nextCall()).answer('At last.');
    const file = new DatabaseSync(join(folder, 'mooring.sqlite'), { readOnly: true });
    const ended = file.prepare("SELECT 1 FROM requests WHERE state = 'completed' AND id = 'm2'");
    await until(() => ended.get() !== undefined, 'its end');
    await stop();
    const before = new DatabaseSync(':memory:');
    before.exec(readFileSync(join(STORES, 'schema-1.sql'), 'utf8'));
    const columns = (db: DatabaseSync, table: unknown): unknown =>
      db.prepare('SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?)').all(String(table));
    const tables = before.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    expect(tables.length).toBeGreaterThan(5);
    for (const { name } of tables) expect(columns(file, name)).toEqual(columns(before, name));
    expect(file.prepare('PRAGMA user_version').get()).toEqual(before.prepare('PRAGMA user_version').get());
    file.close();
  });
});
