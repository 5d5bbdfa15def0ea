/** The command line. */
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { SIZES, type SizeName } from './sizes.ts';

export const HELP = `Exceeds the gateway's limits at scale: npm run load -- [options]

  --scenario A,B     which (default: all)
  --list             what there is
  --size NAME        full (default), or tiny, which only shows that it works: times and memory are not judged
  --dir FOLDER       where the SQLite files are put, for the time of the run
  --help             this text

Exit code 0: every limit held. 1: one is broken. 2: it could not be run.
`;

/** Said to whoever asked for what there is not. */
export class UsageError extends Error {}

export interface Options {
  scenarios: string[];
  size: SizeName;
  dir: string;
  show: 'run' | 'help' | 'list';
}

/** @throws UsageError */
export function readOptions(args: string[], known: string[]): Options {
  const { scenario, size = 'full', dir = tmpdir(), list, help } = parse(args);
  const scenarios = scenario?.split(',') ?? known;
  const unknown = scenarios.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`--scenario ${unknown}: there is none; there are ${known.join(', ')}`);
  if (!isSize(size)) throw new UsageError(`--size ${size}: must be ${Object.keys(SIZES).join(' or ')}`);
  return { scenarios, size, dir, show: help ? 'help' : list ? 'list' : 'run' };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        scenario: { type: 'string' },
        size: { type: 'string' },
        dir: { type: 'string' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function isSize(name: string): name is SizeName {
  return Object.hasOwn(SIZES, name);
}
