import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../../clock.js';
import type { PlacedMessage, RequestRecord, TurnRequest } from '../session.js';
import { StoreUnavailable, type Census, type ListedSession, type ListQuery } from '../session.store.js';
import { currentBootId } from './boot.id.js';
import { Checkpointer } from './checkpointer.js';
import { GroupCommit } from './group.commit.js';
import { JournalLedger } from './journal.ledger.js';
import {
  SessionTables,
  type LoadedSession,
  type LogSegment,
  type Presence,
  type Write,
} from '../embedded/session.tables.js';
import { SqliteAgents } from './sqlite.agents.js';
import { toStoreError } from './sqlite.errors.js';
import { openSqliteFile, unusable, type SqliteFile } from './sqlite.file.js';
import { Housekeeping } from './sqlite.housekeeping.js';
import { MESSAGES_PAGE, SqliteReader } from './sqlite.reader.js';
import { markClean, recover } from './sqlite.recovery.js';
import { SqliteWriter } from './sqlite.writer.js';

/** How long a presence may wait for company: one transaction for all that came and went meanwhile. */
const PRESENCE_MS = 100;

/**
 * What of the journal is kept for the sake of turns that run for long, at most: what a restart has to read
 * before it is ready, about half a second.
 */
const JOURNAL_BYTES = 32 * 1024 * 1024;

const NO_PRESENCES: ReadonlyMap<string, Presence> = new Map();

export interface SqliteOptions {
  dataDir: string;
  clock: Clock;
  /** For tests: as if the machine had started anew. */
  bootId?: string;
  /** For tests and measurements: what moves the write-ahead log into the file. */
  checkpoints?: (path: string) => { stop(): Promise<void> };
  /** Is told of each transaction: how long it took, in milliseconds, and of how many batches it was made. */
  observe?: (ms: number, batches: number) => void;
}

/**
 * Sessions in one SQLite file. Commits of one turn of the event loop share a transaction, and the events of
 * all of its sessions one row of a journal; they become a row of their own when a turn ends. Reads and
 * transactions happen on the calling thread, what syncs the disk on another.
 */
export class SqliteTables extends SessionTables {
  readonly #db: DatabaseSync;
  readonly #agents: SqliteAgents;
  readonly #reader: SqliteReader;
  readonly #writer: SqliteWriter;
  readonly #ledger: JournalLedger;
  readonly #housekeeping: Housekeeping;
  readonly #commits = new GroupCommit<Write[]>((batches) => this.#write(batches));
  readonly #checkpointer: { stop(): Promise<void> };
  /** Presences that no transaction holds yet; where one fails, they wait for the next. */
  readonly #presences = new Map<string, Presence>();
  #presenceTimer?: NodeJS.Timeout;
  #closed?: Promise<void>;

  private constructor(
    private readonly file: SqliteFile,
    private readonly options: SqliteOptions,
  ) {
    super();
    const { db, path } = file;
    this.#db = db;
    const bootId = options.bootId ?? currentBootId();
    this.#ledger = new JournalLedger(recover(db, { now: options.clock.now(), bootId }));
    this.#agents = new SqliteAgents(db);
    this.#reader = new SqliteReader(db, this.#agents);
    this.#writer = new SqliteWriter(db, this.#agents, this.#ledger);
    this.#housekeeping = new Housekeeping(db, this.#ledger);
    this.#checkpointer = options.checkpoints?.(path) ?? new Checkpointer(path);
  }

  /**
   * Opens `mooring.sqlite` in the folder, made if absent, and takes up what the last process left.
   * @throws Error that names the folder or the file, for whoever has to mend it: it cannot be written, is in
   *   use by another process, is damaged, or was written by a newer version
   */
  static open(options: SqliteOptions): SqliteTables {
    const file = openSqliteFile(options.dataDir);
    try {
      return new SqliteTables(file, options);
    } catch (error) {
      file.close();
      throw unusable(file.path, error);
    }
  }

  load(sessionId: string): LoadedSession | 'refused' | undefined {
    const loaded = this.#read(() => this.#reader.load(sessionId));
    const presence = this.#presences.get(sessionId);
    if (!presence || loaded === undefined || loaded === 'refused') return loaded;
    const { attached, at } = presence;
    return { ...loaded, attached, idleSince: attached ? loaded.idleSince : Math.max(loaded.idleSince, at) };
  }

  request(sessionId: string, request: TurnRequest): RequestRecord | undefined {
    return this.#read(() => this.#reader.request(sessionId, request));
  }

  turn(sessionId: string, turnId: string): RequestRecord | undefined {
    return this.#read(() => this.#reader.turn(sessionId, turnId));
  }

  message(sessionId: string, messageId: string): PlacedMessage | undefined {
    return this.#read(() => this.#reader.message(sessionId, messageId));
  }

  messageAt(sessionId: string, position: number): PlacedMessage | undefined {
    return this.#read(() => this.#reader.messageAt(sessionId, position));
  }

  *messagesBefore(sessionId: string, before: number): Iterable<PlacedMessage & { bytes: number }> {
    // In pages, since a statement that somebody leaves half read would keep the log from being written over.
    for (let position = before; ;) {
      const page = this.#read(() => this.#reader.messagesBefore(sessionId, position));
      for (const read of page) {
        const placed = read();
        yield placed;
        position = placed.position;
      }
      if (page.length < MESSAGES_PAGE) return;
    }
  }

  *segments(sessionId: string, afterSeq: number): Iterable<LogSegment> {
    // One by one, for the same reason.
    for (let reached = afterSeq; ;) {
      const segment = this.#read(() => this.#reader.segment(sessionId, reached));
      if (!segment) return;
      yield segment;
      reached = segment.to;
    }
  }

  list(query: ListQuery): { sessions: ListedSession[]; nextCursor?: string } {
    this.#flush();
    return this.#read(() => this.#reader.list(query));
  }

  census(): Census {
    this.#flush();
    return this.#read(() => this.#reader.census());
  }

  ping(): void {
    this.#flush();
    this.#read(() => this.#reader.ping());
  }

  sessionsOf(subject: string): number {
    return this.#read(() => this.#reader.sessionsOf(subject));
  }

  tokensOf(subject: string, day: string): number {
    return this.#read(() => this.#reader.tokensOf(subject, day));
  }

  busy(): string[] {
    this.#flush();
    return this.#read(() => this.#reader.busy());
  }

  commit(writes: Write[], patient = false): Promise<void> {
    if (this.#closed) return Promise.reject(new StoreUnavailable(new Error('it is closed')));
    return this.#commits.add(writes, patient);
  }

  setPresence(sessionId: string, presence: Presence): void {
    if (this.#closed) return;
    this.#presences.set(sessionId, presence);
    this.#presenceTimer ??= setTimeout(() => this.#flush(), PRESENCE_MS).unref();
  }

  unsealed(): string[] {
    return this.#ledger.overdue(JOURNAL_BYTES);
  }

  trim(before: { sealedAt: number; refusedUntil: number; day: string }): void {
    this.#read(() => this.#housekeeping.trim(before));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#flush();
    this.#housekeeping.stop();
    await this.#checkpointer.stop();
    try {
      markClean(this.#db);
    } catch {
      // A full disk: the next start then takes this for a crash, which costs nothing unless the power fails.
    }
    this.file.close();
  }

  /** What is asked of the columns has to know of what was committed before, and of who is there. */
  #flush(): void {
    clearTimeout(this.#presenceTimer);
    this.#presenceTimer = undefined;
    if (this.#presences.size > 0) this.#commits.add([]).catch(() => undefined);
    this.#commits.flush();
  }

  #write(batches: Write[][]): void {
    const start = performance.now();
    // While they wait for company, other transactions leave them alone.
    const presences = this.#presenceTimer ? NO_PRESENCES : this.#presences;
    this.#writer.write(batches, presences);
    if (presences === this.#presences) this.#presences.clear();
    this.options.observe?.(performance.now() - start, batches.length);
  }

  #read<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw toStoreError(error);
    }
  }
}
