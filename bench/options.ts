/** The command line. */
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { CONTENDERS, type Contender } from './contenders.ts';
import { SIZES, type SizeName } from './sizes.ts';

export const HELP = `How Mooring compares: npm run bench -- [options]

  --quick            all of it in three minutes, one round, smaller sizes
  --size NAME        full (default), quick or tiny (which only shows that it works)
  --rounds N         how often each contender has its turn
  --only A,B         scenarios and contenders: a scenario's name selects it, a contender's name too
  --json FILE        all figures of all rounds
  --svg FILE         a chart
  --dir FOLDER       where the SQLite files are put, for the time of the run
  --strict           exit with 1 when a must is missed
  --help             this text
`;

export interface Options {
  size: SizeName;
  rounds: number;
  scenarios: string[];
  contenders: Contender[];
  json?: string;
  svg?: string;
  dir: string;
  strict: boolean;
  help: boolean;
}

/** @throws Error whose message is for whoever typed the command */
export function readOptions(args: string[], scenarios: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      size: { type: 'string' },
      rounds: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'string' },
      svg: { type: 'string' },
      dir: { type: 'string', default: tmpdir() },
      strict: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const size = values.size ?? (values.quick ? 'quick' : 'full');
  if (!isSize(size)) throw new Error(`--size must be ${Object.keys(SIZES).join(', ')}, not ${size}`);
  const rounds = Number(values.rounds ?? SIZES[size].rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds must be a whole number from 1 on`);
  const only = values.only?.split(',') ?? [];
  const unknown = only.find((name) => !scenarios.includes(name) && !isContender(name));
  if (unknown !== undefined)
    throw new Error(`--only knows ${[...scenarios, ...CONTENDERS].join(', ')}, but not ${unknown}`);
  const chosen = scenarios.filter((name) => only.includes(name));
  const contenders = CONTENDERS.filter((name) => only.includes(name));
  const { json, svg, dir, strict, help } = values;
  return {
    size,
    rounds,
    scenarios: chosen.length > 0 ? chosen : scenarios,
    contenders: contenders.length > 0 ? contenders : [...CONTENDERS],
    ...(json !== undefined && { json }),
    ...(svg !== undefined && { svg }),
    dir,
    strict,
    help,
  };
}

function isSize(name: string): name is SizeName {
  return name in SIZES;
}

function isContender(name: string): name is Contender {
  return (CONTENDERS as readonly string[]).includes(name);
}
