import type { Contender } from '../contenders.ts';
import type { Run } from '../run.ts';
import type { Size } from '../sizes.ts';

/** What a figure is, for whoever reads it. Less is better, of all of them. */
export interface FigureInfo {
  title: string;
  unit:
    | 'µs'
    | 'ms'
    | 'bytes'
    | 'MB'
    | 'round trips'
    | 'tokens'
    | 'resumes'
    | 'cores'
    | 'commands'
    | 'connections';
  /** Only in the JSON. */
  detail?: true;
}

export interface Scenario {
  name: string;
  /** One line: what is done, with the sizes. */
  what(size: Size): string;
  contenders: readonly Contender[];
  /** Its figures are those of the slowest hundredth, which little disturbs. */
  hasTails?: true;
  figures(size: Size): Record<string, FigureInfo>;
  /** One round of one contender, in processes of its own. */
  measure(run: Run, contender: Contender): Promise<Record<string, number>>;
}
