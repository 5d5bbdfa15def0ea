import { dayOf } from '../../src/sessions/session.rules.js';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Clock } from '../../src/clock.js';
import { Config, loadConfig } from '../../src/config.js';
import { ActiveSessions } from '../../src/sessions/embedded/active.sessions.js';
import { EmbeddedFeed } from '../../src/sessions/embedded/embedded.feed.js';
import { EmbeddedLease } from '../../src/sessions/embedded/embedded.lease.js';
import { EmbeddedStore } from '../../src/sessions/embedded/embedded.store.js';
import { MemoryTables } from '../../src/sessions/memory/memory.tables.js';
import type { SessionTables } from '../../src/sessions/embedded/session.tables.js';
import { SqliteTables, type SqliteOptions } from '../../src/sessions/sqlite/sqlite.tables.js';
import type { StoreUnderTest } from './store.driver.js';

export const RESUME_WINDOW_MS = 60_000;
const START = Date.parse('2026-11-22T12:00:00.000Z');

/** Stands still unless a test moves it. */
export class FakeClock extends Clock {
  constructor(private time = START) {
    super();
  }

  override now(): number {
    return this.time;
  }

  advance(ms: number): void {
    this.time += ms;
  }
}

/** The embedded store on the given tables, as the module composes it. */
export function embeddedStore(
  tables: SessionTables,
  clock: FakeClock,
  resumeWindowMs = RESUME_WINDOW_MS,
): StoreUnderTest {
  const sessions = new ActiveSessions(tables, clock);
  const config = new Config({ ...loadConfig({}), resumeWindowMs });
  return {
    store: new EmbeddedStore(sessions, config),
    lease: new EmbeddedLease(sessions),
    feed: new EmbeddedFeed(sessions),
    resumeWindowMs,
    now: () => clock.now(),
    elapse: async (ms) => {
      clock.advance(ms);
      const now = clock.now();
      tables.trim({ sealedAt: now - resumeWindowMs, refusedUntil: now, day: dayOf(clock.iso()) });
      await sessions.sealOverdue();
    },
    close: () => tables.close(),
  };
}

export async function memoryStore(resumeWindowMs?: number): Promise<StoreUnderTest> {
  return embeddedStore(new MemoryTables(), new FakeClock(), resumeWindowMs);
}

/** Checkpoints that nobody makes: for tests that open many files. */
export const NO_CHECKPOINTS: SqliteOptions['checkpoints'] = () => ({ stop: () => Promise.resolve() });

/** On a folder of its own, which is deleted when it is closed. */
export async function sqliteStore(options: Partial<SqliteOptions> = {}): Promise<StoreUnderTest> {
  const dataDir = await mkdtemp(join(tmpdir(), 'mooring-store-'));
  const clock = new FakeClock();
  const tables = SqliteTables.open({ dataDir, clock, ...options });
  const under = embeddedStore(tables, clock);
  return {
    ...under,
    close: async () => {
      await under.close();
      await rm(dataDir, { recursive: true });
    },
  };
}
