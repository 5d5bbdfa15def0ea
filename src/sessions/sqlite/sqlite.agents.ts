import type { DatabaseSync } from 'node:sqlite';
import type { PinnedAgent } from '../pinned-agent.js';
import { SessionDamaged } from '../session.store.js';
import { one } from './sqlite.rows.js';
import { toAgent } from './stored.json.js';

type StoredAgent = Omit<PinnedAgent, 'id'>;

/**
 * Agents that sessions are pinned to, stored once by their hash, and one object each in memory: ten thousand
 * sessions hold one persona.
 */
export class SqliteAgents {
  readonly #insert;
  readonly #select;
  readonly #byName = new Map<string, PinnedAgent>();
  readonly #stored = new Set<string>();
  /** Written by the present transaction, which may still fail. */
  #fresh: string[] = [];

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT OR IGNORE INTO agents (hash, json) VALUES (?, ?)');
    this.#select = db.prepare('SELECT json FROM agents WHERE hash = ?');
  }

  put(agent: PinnedAgent): void {
    const { id, hash, ...stored } = agent;
    const name = nameOf(id, hash);
    if (!this.#byName.has(name)) this.#byName.set(name, agent);
    if (this.#stored.has(hash)) return;
    this.#insert.run(hash, JSON.stringify({ hash, ...stored } satisfies StoredAgent));
    this.#stored.add(hash);
    this.#fresh.push(hash);
  }

  get(id: string, hash: string): PinnedAgent {
    const name = nameOf(id, hash);
    const known = this.#byName.get(name);
    if (known) return known;
    const row = one<{ json: string }>(this.#select, hash);
    if (!row) throw new SessionDamaged('session', new Error(`its agent ${id} (${hash}) is missing`));
    const agent: PinnedAgent = { id, ...toAgent(row.json) };
    this.#byName.set(name, agent);
    return agent;
  }

  committed(): void {
    this.#fresh = [];
  }

  rolledBack(): void {
    for (const hash of this.#fresh) this.#stored.delete(hash);
    this.#fresh = [];
  }
}

function nameOf(id: string, hash: string): string {
  return `${hash} ${id}`;
}
