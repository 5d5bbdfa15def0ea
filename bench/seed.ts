/** Fills a SQLite store before the gateway starts on it, by the store's own tables. */
import { createHash } from 'node:crypto';
import type { Write } from '../src/sessions/embedded/session.tables.js';

export interface SeededSession {
  sessionId: string;
  /** Of its transcript; user and assistant in turn. */
  messages: number;
}

const BATCH = 500;
const ANSWER = 'A harbour shelters ships from wind and waves, and lets them load and unload. '.repeat(3);

async function load<Module>(path: string): Promise<Module> {
  return (await import(new URL(`../dist/${path}.js`, import.meta.url).href)) as Module;
}

/** Detached, idle sessions, which the key opens. */
export async function seed(dataDir: string, key: string, sessions: readonly SeededSession[]): Promise<void> {
  if (sessions.length === 0) return;
  const { Clock } = await load<typeof import('../src/clock.js')>('clock');
  const { SqliteTables } = await load<typeof import('../src/sessions/sqlite/sqlite.tables.js')>(
    'sessions/sqlite/sqlite.tables',
  );
  const clock = new Clock();
  const tables = SqliteTables.open({ dataDir, clock });
  const keyHash = createHash('sha256').update(key).digest('hex');
  let writes: Write[] = [];
  for (const session of sessions) {
    writes.push(...sessionWrites(session, keyHash, clock));
    if (writes.length < BATCH * 4) continue;
    await tables.commit(writes);
    writes = [];
  }
  await tables.commit(writes);
  await tables.close();
}

function sessionWrites(
  { sessionId, messages }: SeededSession,
  keyHash: string,
  clock: import('../src/clock.js').Clock,
): Write[] {
  const at = clock.now();
  const createdAt = new Date(at).toISOString();
  const agent = { id: 'alice', hash: 'abc', name: 'Alice', description: '', tools: [], persona: 'Be kind.' };
  const writes: Write[] = [
    {
      kind: 'session',
      session: {
        sessionId,
        owner: { kind: 'key', keyHash },
        agent,
        epoch: 'an-epoch',
        seq: messages * 5,
        createdAt,
        updatedAt: createdAt,
        title: 'What is a harbour?',
        nextPosition: messages,
        waiting: [],
      },
    },
    { kind: 'idle', sessionId, at },
  ];
  for (let position = 0; position < messages; position += 1) {
    const role = position % 2 === 0 ? ('user' as const) : ('assistant' as const);
    const text = role === 'user' ? `What is a harbour, the ${position}th time?` : ANSWER;
    const message = {
      id: `m-${position}`,
      role,
      metadata: { createdAt },
      parts: [{ type: 'text' as const, text }],
    };
    writes.push({ kind: 'message', sessionId, placed: { position, message } });
  }
  return writes;
}
