import { LOSSES } from '../plan.ts';
import type { BlowRecord } from '../ledgers.ts';

/** After these a new epoch may begin: the end of a history was, or may have been, lost. */
const RESTARTS: ReadonlySet<BlowRecord['kind']> = new Set([...LOSSES, 'kill-redis']);
/** After these a turn may have been taken over by somebody else, who ends it as `node_lost`. */
const SILENCES: ReadonlySet<BlowRecord['kind']> = new Set(['kill', 'freeze', 'cut-off', ...LOSSES]);

/** What the blows of a run may have cost, and no more than that. */
export class Losses {
  /** How often Redis was started anew. */
  readonly restarts: number;
  private readonly blows: readonly BlowRecord[];

  constructor(blows: readonly BlowRecord[]) {
    this.blows = blows;
    this.restarts = blows.filter(({ kind }) => RESTARTS.has(kind)).length;
  }

  /** Whether Redis lost data that it had at some moment between these two. */
  between(from: number, to: number): boolean {
    return this.blows.some(({ kind, at, until }) => LOSSES.has(kind) && until >= from && at <= to);
  }

  /** Whether what was so then may not be so in the end. */
  since(at: number): boolean {
    return this.between(at, Infinity);
  }

  get silences(): boolean {
    return this.blows.some(({ kind }) => SILENCES.has(kind));
  }

  /** From when on what a turn's node read of the model, from `from` on, may not have reached the store. */
  silentFrom(from: number): number {
    const begins = this.blows.flatMap(({ kind, at, until }) =>
      SILENCES.has(kind) && kind !== 'kill' && until >= from ? [at] : [],
    );
    return Math.min(Infinity, ...begins);
  }
}
