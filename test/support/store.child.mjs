/**
 * A process that streams turns into a SQLite store until it is killed: `node store.child.mjs <dataDir> <sessions>`.
 * It writes `ready`, and then, for each append that the store acknowledged, `<session> <seq> <words>`.
 */
import { writeSync } from 'node:fs';
import { Clock } from '../../dist/clock.js';
import { ActiveSessions } from '../../dist/sessions/embedded/active.sessions.js';
import { EmbeddedLease } from '../../dist/sessions/embedded/embedded.lease.js';
import { EmbeddedStore } from '../../dist/sessions/embedded/embedded.store.js';
import { SqliteTables } from '../../dist/sessions/sqlite/sqlite.tables.js';

const [dataDir, sessions] = process.argv.slice(2);
const AGENT = { id: 'alice', hash: 'abc', name: 'Alice', description: '', tools: [], persona: 'Be.' };

const clock = new Clock();
let tables;
try {
  tables = SqliteTables.open({ dataDir, clock });
} catch (error) {
  writeSync(1, `${error.message}\n`);
  process.exit(1);
}
const active = new ActiveSessions(tables, clock);
const store = new EmbeddedStore(active, { resumeWindowMs: 600_000 });
const lease = new EmbeddedLease(active);

async function stream(session) {
  const owner = { kind: 'key', keyHash: 'abc' };
  const sessionId = `session-number-${session}`;
  await store.open(sessionId, () => ({ owner, agent: AGENT }));
  const send = { kind: 'send', text: 'Count.', digest: 'd', whenBusy: 'enqueue', admit: true };
  await store.accept(sessionId, { ...send, messageId: 'm1', turnId: 't1' });
  await store.accept(sessionId, { ...send, messageId: 'm2', turnId: 't2' });
  const fence = await lease.claim(sessionId);
  await lease.next(sessionId, fence);
  const chunk = (each) => ({ type: 'chunk', turnId: 't1', chunk: each });
  await store.append(sessionId, fence, [
    chunk({ type: 'start', messageId: 'answer' }),
    chunk({ type: 'text-start', id: 'text' }),
  ]);
  for (let word = 0; ; word += 1) {
    const delta = chunk({ type: 'text-delta', id: 'text', delta: `${word} ` });
    const { packet } = await store.append(sessionId, fence, [delta]);
    writeSync(1, `${session} ${packet.to} ${word + 1}\n`);
    await new Promise((resolve) => setTimeout(resolve, 1 + Math.random() * 4));
  }
}

writeSync(1, 'ready\n');
await Promise.all(Array.from({ length: Number(sessions) }, (_, session) => stream(session)));
