import type { DatabaseSync } from 'node:sqlite';
import type { SessionEvent } from '../../protocol.js';
import type { JournalLedger } from './journal.ledger.js';
import type { LogSegment, Presence, Write } from '../embedded/session.tables.js';
import type { SqliteAgents } from './sqlite.agents.js';
import { SqliteRemoval } from './sqlite.removal.js';
import { sessionValues } from './sqlite.rows.js';
import { prepareWrites } from './sqlite.statements.js';
import { transaction } from './sqlite.transaction.js';

/** Rows of the journal that a transaction may delete beside the one that it adds: it has to get shorter. */
const PRUNED_ROWS = 2;

/** A journal row is the JSON of these, one for each session that had events in its transaction. */
export type JournalEntry = [sessionId: string, events: SessionEvent[]];

/** What a transaction changes in the ledger, once it is committed. */
type LedgerStep = ['hold' | 'release', sessionId: string];

/** Writes batches to the tables, and what they add to sessions' logs to one row of the journal. */
export class SqliteWriter {
  readonly #statements;
  readonly #removal;
  #entries: JournalEntry[] = [];
  #steps: LedgerStep[] = [];

  constructor(
    private readonly db: DatabaseSync,
    private readonly agents: SqliteAgents,
    private readonly ledger: JournalLedger,
  ) {
    this.#statements = prepareWrites(db);
    this.#removal = new SqliteRemoval(db);
  }

  /** Batches in their order, then presences: all of it in one transaction, or nothing. */
  write(batches: readonly Write[][], presences: ReadonlyMap<string, Presence>): void {
    this.#entries = [];
    this.#steps = [];
    let bytes = 0;
    let pruned: number | undefined;
    try {
      transaction(this.db, () => {
        for (const batch of batches) for (const write of batch) this.#apply(write);
        for (const [sessionId, presence] of presences) this.#putPresence(sessionId, presence);
        if (this.#entries.length === 0) return;
        bytes = this.#putJournal();
        pruned = this.#prune();
      });
    } catch (error) {
      this.agents.rolledBack();
      throw error;
    }
    this.agents.committed();
    if (bytes > 0) this.ledger.wrote(bytes);
    if (pruned !== undefined) this.ledger.pruned(pruned);
    for (const [step, sessionId] of this.#steps) this.ledger[step](sessionId);
  }

  #apply(write: Write): void {
    const { idle, request, settle, withdraw, message } = this.#statements;
    const { kind } = write;
    switch (kind) {
      case 'session':
        this.agents.put(write.session.agent);
        this.#statements.session.run(...sessionValues(write.session, this.ledger.next, write.idleSince ?? 0));
        return;
      case 'idle':
        idle.run(write.at, write.sessionId);
        return;
      case 'request': {
        const { request: made, turnId, digest, messageId, state } = write.record;
        request.run(write.sessionId, made.kind, made.id, turnId, digest, messageId, state);
        return;
      }
      case 'settle':
        settle.run(write.state, write.sessionId, write.request.kind, write.request.id);
        return;
      case 'withdraw':
        withdraw.run(write.sessionId, write.from);
        return;
      case 'message': {
        const { position, message: put } = write.placed;
        const json = JSON.stringify(put);
        message.run(write.sessionId, position, put.id, Buffer.byteLength(json), json);
        return;
      }
      case 'events':
        if (write.events.length === 0) return;
        this.#entries.push([write.sessionId, write.events]);
        this.#steps.push(['hold', write.sessionId]);
        return;
      case 'segment':
        return this.putSegment(write.sessionId, write.segment);
      case 'spent': {
        const { subject, day, tokens } = write.spending;
        this.#statements.spent.run(subject, day, tokens);
        return;
      }
      case 'remove':
        this.#statements.refuse.run(write.refusedUntil, write.sessionId);
        this.#removal.begin(write.sessionId);
        this.#steps.push(['release', write.sessionId]);
        return;
    }
  }

  /** Within a transaction of the caller's. */
  putSegment(sessionId: string, { from, to, sealedAt, events }: LogSegment): void {
    const { segment, sealEarlier, sealed } = this.#statements;
    segment.run(sessionId, from, to, sealedAt ?? null, JSON.stringify(events));
    if (sealedAt !== undefined) sealEarlier.run(sealedAt, sessionId);
    sealed.run(to, sessionId);
    this.#steps.push(['release', sessionId]);
  }

  #putPresence(sessionId: string, { attached, at }: Presence): void {
    if (attached) this.#statements.attached.run(sessionId);
    else this.#statements.detached.run(at, sessionId);
  }

  #putJournal(): number {
    const json = JSON.stringify(this.#entries);
    this.#statements.journal.run(this.ledger.next, json);
    return json.length;
  }

  #prune(): number | undefined {
    const rows = this.ledger.prunable(PRUNED_ROWS);
    if (rows) this.#statements.prune.run(rows.from, rows.to);
    return rows?.to;
  }
}
