import { Worker } from 'node:worker_threads';

/** As often as a power loss may cost: until a checkpoint, what was committed is with the kernel only. */
const CHECKPOINT_MS = 1_000;
/**
 * A log longer than this is moved to its end, pass by pass, so that the next commit writes over it. That
 * commit syncs the log's new head, a few milliseconds on the serving thread: not each second.
 */
const RESTART_BYTES = 16 * 1024 * 1024;
const RESTART_PASSES = 10;
/** A file that a burst made larger than this is cut, which holds up commits: when it is caught up with. */
const TRUNCATE_BYTES = 64 * 1024 * 1024;
/** Or, where commits never pause for long enough, when it is this large, whatever it costs. */
const TRUNCATE_AT_LAST_BYTES = 512 * 1024 * 1024;
/** The thread runs twenty lines. */
const THREAD_HEAP_MB = 16;

/**
 * Source text, so that it is found however this module was compiled or bundled. PASSIVE locks nobody out;
 * TRUNCATE holds the write lock, and gives up where a writer is at work. A checkpoint that fails (a full
 * disk) is tried again a second later; commits tell of the trouble.
 */
const SOURCE = `
const { statSync } = require('node:fs');
const { DatabaseSync } = require('node:sqlite');
const { parentPort, workerData } = require('node:worker_threads');
const { file, everyMs, restartBytes, restartPasses, truncateBytes, truncateAtLastBytes } = workerData;
let db, pageBytes;

// How many pages the log had.
function pass() {
  return db.prepare('PRAGMA wal_checkpoint(PASSIVE)').get().log;
}

function checkpoint() {
  if (!db) {
    db = new DatabaseSync(file, { timeout: 0 });
    pageBytes = db.prepare('PRAGMA page_size').get().page_size;
  }
  let moved = pass();
  let caughtUp = false;
  // A pass moves what was there when it began: only one that finds no more than the last has moved it all.
  for (let left = restartPasses; moved * pageBytes > restartBytes && !caughtUp && left > 0; left -= 1) {
    const before = moved;
    moved = pass();
    caughtUp = moved <= before;
  }
  const { size } = statSync(file + '-wal');
  if (size > truncateAtLastBytes || (size > truncateBytes && (caughtUp || moved * pageBytes < restartBytes))) {
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }
}

const timer = setInterval(() => {
  try {
    checkpoint();
  } catch {}
}, everyMs);
parentPort.once('message', () => {
  clearInterval(timer);
  db?.close();
  parentPort.close();
});
`;

/** Moves what was committed into the database file, on a thread of its own: syncing a disk takes its time. */
export class Checkpointer {
  #thread?: Worker;
  #stopped = false;

  constructor(private readonly file: string) {
    this.#start();
  }

  /** Resolves when the thread has closed its file. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const thread = this.#thread;
    if (!thread) return;
    const exited = new Promise((resolve) => thread.once('exit', resolve));
    thread.ref();
    thread.postMessage('stop');
    await exited;
  }

  #start(): void {
    this.#thread = new Worker(SOURCE, {
      eval: true,
      name: 'checkpointer',
      workerData: {
        file: this.file,
        everyMs: CHECKPOINT_MS,
        restartBytes: RESTART_BYTES,
        restartPasses: RESTART_PASSES,
        truncateBytes: TRUNCATE_BYTES,
        truncateAtLastBytes: TRUNCATE_AT_LAST_BYTES,
      },
      // None of what this process was started with (loaders, hooks) concerns a few lines of plain JavaScript.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MB },
    });
    this.#thread.unref();
    // Whatever ends it, its work has to go on: without checkpoints the log would grow for ever.
    this.#thread.on('error', () => undefined);
    this.#thread.once('exit', () => {
      this.#thread = undefined;
      if (!this.#stopped) setTimeout(() => this.#restart(), CHECKPOINT_MS).unref();
    });
  }

  #restart(): void {
    if (!this.#stopped) this.#start();
  }
}
