import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SqliteTables, type SqliteOptions } from '../../src/sessions/sqlite/sqlite.tables.js';
import { embeddedStore, FakeClock, NO_CHECKPOINTS } from '../contract/embedded.stores.js';
import type { StoreUnderTest } from '../contract/store.driver.js';

/** Data folders of one test, and the stores in them; all on one clock, without checkpoints of their own. */
export class SqliteFolders {
  readonly root = mkdtempSync(join(tmpdir(), 'mooring-sqlite-'));
  readonly clock = new FakeClock();
  readonly #disposals: (() => unknown)[] = [];

  path(...names: string[]): string {
    return join(this.root, ...names);
  }

  openTables(folder: string, options: Partial<SqliteOptions> = {}): SqliteTables {
    const { clock } = this;
    const tables = SqliteTables.open({ dataDir: folder, clock, checkpoints: NO_CHECKPOINTS, ...options });
    this.onDispose(() => tables.close());
    return tables;
  }

  open(folder: string, options?: Partial<SqliteOptions>): StoreUnderTest {
    return embeddedStore(this.openTables(folder, options), this.clock);
  }

  /** What a kill -9 at this moment leaves on the disk, in another folder. */
  async afterCrash(folder: string): Promise<string> {
    const copy = mkdtempSync(this.path('crashed-'));
    for (const file of ['mooring.sqlite', 'mooring.sqlite-wal']) {
      if (existsSync(join(folder, file))) await cp(join(folder, file), join(copy, file));
    }
    return copy;
  }

  onDispose(dispose: () => unknown): void {
    this.#disposals.push(dispose);
  }

  async dispose(): Promise<void> {
    for (const dispose of this.#disposals.splice(0).reverse()) await dispose();
    rmSync(this.root, { recursive: true, force: true });
  }
}
