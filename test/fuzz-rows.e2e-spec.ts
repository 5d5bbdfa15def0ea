import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SessionDamaged } from '../src/sessions/session.store.js';
import { ALICE, SessionDriver, type StoreUnderTest } from './contract/store.driver.js';
import { fuzz, ProcessWatch, type Dice } from './support/fuzz.js';
import { anyValue, mutateValue } from './support/mutation.js';
import { SqliteFolders } from './support/sqlite.folders.js';

/** What of a session is JSON, and in which column it is known by the session's id. */
const JSON_COLUMNS: Record<string, { column: string; session?: string }> = {
  sessions: { column: 'json', session: 'id' },
  messages: { column: 'json', session: 'session' },
  segments: { column: 'events', session: 'session' },
  journal: { column: 'entries' },
  agents: { column: 'json' },
};
const OTHER_COLUMNS: Record<string, { columns: string[]; session: string }> = {
  sessions: {
    columns: ['agent_id', 'agent_hash', 'epoch', 'seq', 'sealed_seq', 'journal_from', 'updated_at', 'title', 'turn', 'busy', 'idle_since'], // prettier-ignore
    session: 'id',
  },
  messages: { columns: ['position', 'id', 'bytes'], session: 'session' },
  requests: { columns: ['turn', 'digest', 'message', 'state'], session: 'session' },
  segments: { columns: ['from_seq', 'to_seq', 'sealed_at'], session: 'session' },
};

/** A data folder with sessions in every state, as a killed process leaves it. */
interface Estate {
  folder: string;
  /** Their rows are damaged. */
  victims: string[];
  /** Whose rows nobody touches, with an agent of its own. */
  neighbour: string;
  /** What the neighbour's are. */
  messages: string;
}

async function makeEstate(folders: SqliteFolders): Promise<Estate> {
  const under = folders.open(folders.path('living'));
  const talk = async (values = {}): Promise<SessionDriver> =>
    (await SessionDriver.create(under, values)).attach();
  const idle = await talk({ metadata: { page: '/' } });
  await idle.turn('m1');
  await idle.turn('m2');
  await idle.retry('r1', { text: 'again' });
  const running = await talk();
  await running.turn('m1');
  await running.send('m2');
  const begun = await running.begin();
  await running.say(begun, 'a', 'b');
  await running.send('m3');
  const neighbour = await talk({ agent: { ...ALICE, hash: 'hash of another', persona: 'You are another.' } });
  await neighbour.turn('m1');
  const messages = JSON.stringify(await neighbour.messages());
  const folder = await folders.afterCrash(folders.path('living'));
  return { folder, victims: [idle.sessionId, running.sessionId], neighbour: neighbour.sessionId, messages };
}

/** One row is written over, as a broken disk, a helpful hand or a version that thought otherwise would. */
function damage(dice: Dice, db: DatabaseSync, victims: string[]): string {
  const session = dice.pick(victims);
  if (dice.chance(0.25)) {
    const table = dice.pick(Object.keys(OTHER_COLUMNS));
    const { columns, session: key } = OTHER_COLUMNS[table] as (typeof OTHER_COLUMNS)[string];
    const column = dice.pick(columns);
    const value = dice.pick<SQLInputValue>([null, '', 'x', 0, -1, 1, 7, 1e15, 0.5, Buffer.from('x')]);
    const sql = `UPDATE OR IGNORE ${table} SET ${column} = ? WHERE ${key} = ?`;
    try {
      db.prepare(sql).run(value, session);
    } catch {
      return 'what no row can hold';
    }
    return `${table}.${column} = ${JSON.stringify(value)}`;
  }
  const table = dice.pick(Object.keys(JSON_COLUMNS));
  const { column, session: key } = JSON_COLUMNS[table] as (typeof JSON_COLUMNS)[string];
  const where = key
    ? `WHERE ${key} = '${session}'`
    : table === 'agents'
      ? "WHERE hash <> 'hash of another'"
      : '';
  const rows = db.prepare(`SELECT rowid AS row, ${column} AS json FROM ${table} ${where}`).all();
  if (rows.length === 0) return 'nothing';
  const { row, json } = dice.pick(rows) as { row: number; json: string };
  const text = damagedJson(dice, json);
  db.prepare(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`).run(text, row);
  return `${table}.${column} = ${text}`;
}

function damagedJson(dice: Dice, json: string): string {
  switch (dice.int(0, 5)) {
    case 0:
      return json.slice(0, dice.int(0, json.length));
    case 1:
      return dice.pick(['', 'null', '[]', '{}', '""', 'NaN', '\u0000', '[[]]', '[["x"]]']);
    case 2:
      return JSON.stringify(anyValue(dice));
    default:
      return JSON.stringify(mutateValue(dice, parsed(json)));
  }
}

/** It may be damaged already. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

/** Whatever comes of it, it comes: an answer, or an error that is named. */
async function attempt(what: () => Promise<unknown>): Promise<void> {
  await what().catch((error: unknown) => {
    if (!(error instanceof Error)) throw new Error('that is no error');
    if (error instanceof TypeError && !(error instanceof SessionDamaged)) throw error;
  });
}

async function useVictim(under: StoreUnderTest, sessionId: string): Promise<void> {
  const victim = SessionDriver.of(under, sessionId);
  await attempt(() => victim.open());
  await attempt(() => victim.read());
  await attempt(async () => victim.read({ epoch: (await victim.position()).epoch, seq: 2 }));
  await attempt(() => victim.messages());
  await attempt(() => victim.send('m1'));
  await attempt(() => victim.turn('m9'));
  await attempt(() => victim.accept({ kind: 'close', state: 'closed' }));
}

describe('stored rows that hold something else than they did', () => {
  let folders: SqliteFolders;
  let watch: ProcessWatch;
  beforeEach(() => {
    folders = new SqliteFolders();
    watch = new ProcessWatch();
  });
  afterEach(async () => {
    watch.stop();
    await folders.dispose();
  });

  it('[STO-5] [STO-8] stop the start by name, or the one session, and nobody else', async () => {
    const estate = await makeEstate(folders);
    let starts = 0;
    const cases = await fuzz({ quick: 150, whole: 10_000, atOnce: 1 }, async (dice, index) => {
      const folder = folders.path(`case-${index}`);
      mkdirSync(folder);
      cpSync(estate.folder, folder, { recursive: true });
      const raw = new DatabaseSync(join(folder, 'mooring.sqlite'));
      const done = dice.times(1, 3, () => damage(dice, raw, estate.victims)).join('; ');
      raw.close();
      let under: StoreUnderTest | undefined;
      try {
        try {
          under = folders.open(folder);
        } catch (error) {
          if (!String(error).includes(`DATA_DIR: ${join(folder, 'mooring.sqlite')}`)) throw error;
          return;
        }
        starts += 1;
        await under.lease.due();
        await under.store.census();
        await under.store.list({ limit: 10 });
        for (const victim of estate.victims) await useVictim(under, victim);
        const neighbour = SessionDriver.of(under, estate.neighbour);
        expect(JSON.stringify(await neighbour.messages())).toBe(estate.messages);
        await neighbour.turn('m2');
        expect(await neighbour.messageIds()).toHaveLength(4);
        await under.close();
        // Nothing that happened keeps it from starting again.
        await folders.open(folder).close();
      } catch (error) {
        throw new Error(`${done}: ${error instanceof Error ? (error.stack ?? '') : String(error)}`, {
          cause: error,
        });
      } finally {
        await under?.close();
        rmSync(folder, { recursive: true });
      }
    });
    expect(starts).toBeGreaterThan(cases / 3);
    expect(watch.complaints).toEqual([]);
  }, 1_200_000);
});
