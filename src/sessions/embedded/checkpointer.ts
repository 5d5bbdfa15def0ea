import { Worker } from 'node:worker_threads';

/** As often as a power loss may cost: until a checkpoint, what was committed is with the kernel only. */
const CHECKPOINT_MS = 1_000;
/** A log file larger than this is given back to the disk; below it is written over, which is cheaper. */
const TRUNCATE_BYTES = 64 * 1024 * 1024;
/** The thread runs ten lines. */
const THREAD_HEAP_MB = 16;

/**
 * Source text, so that it is found however this module was compiled or bundled. A checkpoint that fails (a
 * full disk) is tried again a second later; commits tell of the trouble. TRUNCATE holds the write lock, so
 * it comes right after PASSIVE has left it next to nothing to do, and gives up where a writer is at work.
 */
const SOURCE = `
const { statSync } = require('node:fs');
const { DatabaseSync } = require('node:sqlite');
const { parentPort, workerData: { file, everyMs, truncateBytes } } = require('node:worker_threads');
let db;
const timer = setInterval(() => {
  try {
    db ??= new DatabaseSync(file, { timeout: 0 });
    db.exec('PRAGMA wal_checkpoint(PASSIVE)');
    if (statSync(file + '-wal').size > truncateBytes) db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
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
      workerData: { file: this.file, everyMs: CHECKPOINT_MS, truncateBytes: TRUNCATE_BYTES },
      // None of what this process was started with (loaders, hooks) concerns ten lines of plain JavaScript.
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
