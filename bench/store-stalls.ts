/**
 * How long the embedded store stops the process that serves the sockets: so many sessions, each with an open
 * turn that gets one delta a tick, through ActiveSessions, on the event loop that is measured.
 *
 *   node bench/store-stalls.ts [--sessions 500] [--ticks 25] [--seconds 20] [--rounds 3] [--dir /tmp]
 *
 * Contenders take turns, each round in processes of their own: SQLite as it is delivered (checkpoints on
 * another thread), the same with checkpoints on the serving thread, and maps, which are the floor. Runs the
 * build (`npm run build` first); the table shows medians over the rounds.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { SessionTables } from '../src/sessions/embedded/session.tables.js';

const CONTENDERS = ['sqlite', 'sqlite, same thread', 'memory'] as const;
type Contender = (typeof CONTENDERS)[number];
/** Every turn is this long; they end one after the other, so that each tick has some that end and begin. */
const TURN_TICKS = 250;
const CHECKPOINT_MS = 1_000;

interface Options {
  sessions: number;
  ticks: number;
  seconds: number;
  rounds: number;
  dir: string;
}

/** Times in milliseconds. */
interface Figures {
  commitP50: number;
  commitP99: number;
  commitMax: number;
  delayP50: number;
  delayP99: number;
  delayP999: number;
  delayMax: number;
  /** From the tick to the last of its appends. */
  tickP50: number;
  tickP99: number;
  cpuMicrosPerAppend: number;
  writtenMBPerSecond: number;
  lateTicks: number;
}

async function load<Module>(path: string): Promise<Module> {
  return (await import(new URL(`../dist/${path}.js`, import.meta.url).href)) as Module;
}

// ---- One contender, in a process of its own ------------------------------------------------------------

async function measure(contender: Contender, options: Options, dataDir: string): Promise<Figures> {
  const { Clock } = await load<typeof import('../src/clock.js')>('clock');
  const embedded = 'sessions/embedded';
  const { ActiveSessions } = await load<typeof import('../src/sessions/embedded/active.sessions.js')>(
    `${embedded}/active.sessions`,
  );
  const { EmbeddedStore } = await load<typeof import('../src/sessions/embedded/embedded.store.js')>(
    `${embedded}/embedded.store`,
  );
  const { EmbeddedLease } = await load<typeof import('../src/sessions/embedded/embedded.lease.js')>(
    `${embedded}/embedded.lease`,
  );
  const { loadConfig } = await load<typeof import('../src/config.js')>('config');
  const clock = new Clock();
  const commits: number[] = [];
  // The transactions that hold a tick's flush, not the small ones in which single turns end and begin.
  const tables = await openTables(contender, dataDir, clock, (ms, batches) => {
    if (batches > options.sessions / 2) commits.push(ms);
  });
  const active = new ActiveSessions(tables, clock);
  const config = loadConfig({ RESUME_WINDOW: '10s' });
  const store = new EmbeddedStore(active, config);
  const lease = new EmbeddedLease(active);

  const streams = await Promise.all(
    Array.from({ length: options.sessions }, (_, index) => Stream.open(store, lease, index)),
  );
  const maintenance = setInterval(() => {
    const now = clock.now();
    tables.trim({ sealedAt: now - config.resumeWindowMs, refusedUntil: now, day: '' });
    void active.sealOverdue();
  }, 5_000);

  const tick = 1_000 / options.ticks;
  const ticks: number[] = [];
  let appends = 0;
  let lateTicks = 0;
  let begin = { written: 0, cpu: process.cpuUsage(), at: 0 };
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const warmUp = 2 * options.ticks;
  const total = warmUp + options.seconds * options.ticks;
  const start = performance.now();
  for (let count = 0; count < total; count += 1) {
    if (count === warmUp) {
      commits.length = ticks.length = appends = lateTicks = 0;
      delay.enable();
      begin = { written: bytesWritten(), cpu: process.cpuUsage(), at: performance.now() };
    }
    const due = start + count * tick;
    const wait = due - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    else lateTicks += 1;
    const from = performance.now();
    await Promise.all(streams.map((stream) => stream.tick()));
    ticks.push(performance.now() - from);
    appends += streams.length;
  }
  delay.disable();
  const cpu = process.cpuUsage(begin.cpu);
  const seconds = (performance.now() - begin.at) / 1_000;
  const written = bytesWritten() - begin.written;
  clearInterval(maintenance);
  await tables.close();
  return {
    commitP50: quantile(commits, 0.5),
    commitP99: quantile(commits, 0.99),
    commitMax: quantile(commits, 1),
    // The monitor's own timer fires each millisecond; what is above that is delay.
    delayP50: Math.max(0, delay.percentile(50) / 1e6 - 1),
    delayP99: Math.max(0, delay.percentile(99) / 1e6 - 1),
    delayP999: Math.max(0, delay.percentile(99.9) / 1e6 - 1),
    delayMax: Math.max(0, delay.max / 1e6 - 1),
    tickP50: quantile(ticks, 0.5),
    tickP99: quantile(ticks, 0.99),
    cpuMicrosPerAppend: (cpu.user + cpu.system) / appends,
    writtenMBPerSecond: written / seconds / 1e6,
    lateTicks,
  };
}

async function openTables(
  contender: Contender,
  dataDir: string,
  clock: import('../src/clock.js').Clock,
  observe: (ms: number, batches: number) => void,
): Promise<SessionTables> {
  if (contender === 'memory') {
    const { MemoryTables } = await load<typeof import('../src/sessions/memory/memory.tables.js')>(
      'sessions/memory/memory.tables',
    );
    return new MemoryTables();
  }
  const { SqliteTables } = await load<typeof import('../src/sessions/sqlite/sqlite.tables.js')>(
    'sessions/sqlite/sqlite.tables',
  );
  const checkpoints = contender === 'sqlite' ? undefined : checkpointsHere;
  return SqliteTables.open({ dataDir, clock, observe, checkpoints });
}

/** What the delivered checkpointer does, on the serving thread. */
function checkpointsHere(path: string): { stop(): Promise<void> } {
  const db = new DatabaseSync(path);
  const timer = setInterval(() => db.exec('PRAGMA wal_checkpoint(PASSIVE)'), CHECKPOINT_MS);
  return {
    stop: () => {
      clearInterval(timer);
      db.close();
      return Promise.resolve();
    },
  };
}

/** One session whose turns follow each other. */
class Stream {
  readonly store: import('../src/sessions/session.store.js').SessionStore;
  readonly lease: import('../src/sessions/turn.lease.js').TurnLease;
  readonly sessionId: string;
  readonly index: number;
  fence = 0;
  turn = 0;
  left = 0;

  constructor(
    store: import('../src/sessions/session.store.js').SessionStore,
    lease: import('../src/sessions/turn.lease.js').TurnLease,
    index: number,
  ) {
    this.store = store;
    this.lease = lease;
    this.index = index;
    this.sessionId = `session-number-${index}`;
  }

  static async open(...args: ConstructorParameters<typeof Stream>): Promise<Stream> {
    const stream = new Stream(...args);
    const agent = { id: 'alice', hash: 'abc', name: 'Alice', description: '', tools: [], persona: 'Be.' };
    await stream.store.open(stream.sessionId, () => ({ owner: { kind: 'key', keyHash: 'k' }, agent }));
    stream.fence = (await stream.lease.claim(stream.sessionId)) ?? 0;
    await stream.begin();
    stream.left = 1 + (Math.floor((stream.index * TURN_TICKS) / 500) % TURN_TICKS);
    return stream;
  }

  async begin(): Promise<void> {
    this.turn += 1;
    this.left = TURN_TICKS;
    await this.store.accept(this.sessionId, {
      kind: 'send',
      messageId: `message-${this.turn}`,
      text: 'Tell me something long about harbours, please.',
      digest: 'digest',
      whenBusy: 'enqueue',
      turnId: this.turnId,
      admit: true,
    });
    await this.lease.next(this.sessionId, this.fence);
  }

  get turnId(): string {
    return `0f8fad5b-d9cb-469f-a165-${String(this.turn).padStart(12, '0')}`;
  }

  async tick(): Promise<void> {
    const { turnId } = this;
    const chunk = { type: 'text-delta', id: 'text-1', delta: 'about five' } as const;
    this.left -= 1;
    const end =
      this.left > 0
        ? undefined
        : {
            ending: { state: 'completed', finishReason: 'stop' } as const,
            answer: {
              id: `answer-${this.turn}`,
              role: 'assistant' as const,
              parts: [{ type: 'text' as const, text: 'about five'.repeat(TURN_TICKS) }],
            },
          };
    await this.store.append(this.sessionId, this.fence, [{ type: 'chunk', turnId, chunk }], end);
    if (end) await this.begin();
  }
}

/** What this process caused to be written to the disk, in bytes; 0 where the kernel does not say. */
function bytesWritten(): number {
  try {
    return Number(/^write_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}

// ---- All of them, in turn --------------------------------------------------------------------------------

function run(contender: Contender, options: Options): Figures {
  const dataDir = mkdtempSync(join(options.dir, 'mooring-stalls-'));
  try {
    const args = [
      '--disable-warning=ExperimentalWarning',
      fileURLToPath(import.meta.url),
      ...process.argv.slice(2),
    ];
    const child = spawnSync(process.execPath, [...args, '--contender', contender, '--data', dataDir], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (child.status !== 0) throw new Error(`${contender} failed with ${child.status}`);
    return JSON.parse(child.stdout) as Figures;
  } finally {
    rmSync(dataDir, { recursive: true });
  }
}

function compare(options: Options): void {
  const results = new Map<Contender, Figures[]>(CONTENDERS.map((contender) => [contender, []]));
  for (let round = 0; round < options.rounds; round += 1) {
    for (const contender of CONTENDERS) results.get(contender)?.push(run(contender, options));
  }
  const names = Object.keys(results.get('memory')?.[0] ?? {}) as (keyof Figures)[];
  const median = (contender: Contender, name: keyof Figures): number =>
    quantile(results.get(contender)?.map((figures) => figures[name]) ?? [], 0.5);
  const { sessions, ticks, seconds, rounds } = options;
  console.log(`${sessions} sessions, ${ticks} ticks/s, ${seconds} s, medians of ${rounds} rounds; ms`);
  console.table(
    Object.fromEntries(
      names.map((name) => {
        const [threaded, same, memory] = CONTENDERS.map((contender) => median(contender, name));
        const ratio = threaded !== undefined && same ? round2(threaded / same) : '';
        return [
          name,
          {
            sqlite: round2(threaded),
            'sqlite, same thread': round2(same),
            'ratio to same thread': ratio,
            memory: round2(memory),
          },
        ];
      }),
    ),
  );
}

function round2(value = 0): number {
  return Math.round(value * 100) / 100;
}

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '500' },
    ticks: { type: 'string', default: '25' },
    seconds: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '3' },
    dir: { type: 'string', default: tmpdir() },
    contender: { type: 'string' },
    data: { type: 'string' },
  },
});
const options: Options = {
  sessions: Number(values.sessions),
  ticks: Number(values.ticks),
  seconds: Number(values.seconds),
  rounds: Number(values.rounds),
  dir: values.dir,
};
if (values.contender !== undefined && values.data !== undefined) {
  process.stdout.write(JSON.stringify(await measure(values.contender as Contender, options, values.data)));
} else {
  compare(options);
}
