import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { newCredentials } from './support/client.js';
import { disposeAll, gateway, temporaryDirectory } from './support/gateway.js';

const RUNBOOK = readFileSync(fileURLToPath(new URL('../docs/runbook.md', import.meta.url)), 'utf8');

/** What the runbook has an operator run on the database, by a word that it holds. */
function statementOf(word: string): string {
  const found = [...RUNBOOK.matchAll(/sqlite3 \S+ "([^"]*)"/g)].find(([, sql = '']) => sql.includes(word));
  if (!found?.[1]) throw new Error(`the runbook has no statement with ${word}`);
  return found[1];
}

describe('the runbook', () => {
  afterEach(disposeAll);

  it('[OBS-10] a copy that is put back begins a new epoch, and goes on', async () => {
    const [before, after] = [await temporaryDirectory(), await temporaryDirectory()];
    const credentials = newCredentials();
    const { sessionId } = credentials;
    const first = await gateway({ STORE: 'sqlite', DATA_DIR: before });
    first.model.autoAnswer = (call) => call.answer(`to ${call.asked}`);
    const socket = await first.client();
    const opened = await socket.open({ ...credentials, create: true });
    await socket.send(sessionId, 'before the copy');
    await socket.turn('completed');
    const copy = join(after, 'mooring.sqlite');
    mkdirSync(after, { recursive: true });
    // While it runs, as by the shell's `.backup`.
    const db = new DatabaseSync(join(before, 'mooring.sqlite'));
    db.exec(`VACUUM INTO '${copy}.part'`);
    db.close();
    copyFileSync(`${copy}.part`, copy);
    await socket.send(sessionId, 'after the copy');
    await socket.turn('completed');
    const position = socket.position(opened);
    await first.stop();

    const restored = new DatabaseSync(copy);
    restored.exec(statementOf('meta'));
    restored.close();
    const second = await gateway({ STORE: 'sqlite', DATA_DIR: after });
    second.model.autoAnswer = (call) => call.answer(`to ${call.asked}`);
    const other = await second.client();
    await other.open(credentials);
    for (const text of ['another', 'and another']) {
      await other.send(sessionId, text);
      await other.turn('completed');
    }
    // By now the log is longer than where the first client had come.
    const back = await (await second.client()).open({ ...credentials, position });
    expect(back.position.seq).toBeGreaterThan(position.seq);
    expect(back.recovered).toBe(false);
    expect(back.position.epoch).not.toBe(position.epoch);
    const texts = back.messages.flatMap(({ parts }) =>
      parts.flatMap((part) => ('text' in part ? [part.text] : [])),
    );
    expect(texts).toEqual([
      'before the copy',
      'to before the copy',
      'another',
      'to another',
      'and another',
      'to and another',
    ]);
  });
});
