import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { STORES, type Store } from './plan.ts';
import { SCENARIOS } from './scenarios.ts';

export interface Options {
  seed: number;
  seconds: number;
  scenarios: string[];
  /** Each scenario's own where none is given. */
  store?: Store;
  nodes?: number;
  dist: string;
  show: 'run' | 'help' | 'list' | 'plan';
}

/** Said to whoever asked for what there is not. */
export class UsageError extends Error {}

export const HELP = `Plays clients, a network, a model server and a nemesis against the built gateway, and compares
afterwards what each of them wrote down with what the contract promises.

  npm run stress -- [options]

  --seed N           what is done, and when; the same seed does the same (default: one that it prints)
  --seconds N        how long clients act, all scenarios together (default: 200)
  --scenario NAME    only this one; may be given several times (default: all of them, one after the other)
  --store STORE      sqlite, memory or redis (default: sqlite, redis for those that need it)
  --nodes N          how many gateways on one Redis (default: as the scenario says)
  --list             the scenarios, with a line each
  --plan             print what would be done, as JSON, and do nothing
  --dist PATH        another build of the gateway (default: dist)
  --help             this

Exit code 0: nothing was found. 1: an invariant is broken. 2: it could not be run, or too short for a single turn.
`;

export const DIST = fileURLToPath(new URL('../dist', import.meta.url));

/** @throws UsageError */
export function readOptions(words: string[]): Options {
  const values = parse(words);
  const seed =
    values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : wholeNumber('seed', values.seed);
  const seconds = values.seconds === undefined ? 200 : wholeNumber('seconds', values.seconds);
  if (seconds < 1) throw new UsageError('--seconds must be at least 1');
  const scenarios = values.scenario ?? Object.keys(SCENARIOS);
  const unknown = scenarios.filter((name) => !Object.hasOwn(SCENARIOS, name));
  if (unknown.length > 0) {
    throw new UsageError(
      `--scenario ${unknown[0]}: there is none; there are ${Object.keys(SCENARIOS).join(', ')}`,
    );
  }
  const { store } = values;
  if (store !== undefined && !isStore(store))
    throw new UsageError(`--store ${store}: must be one of ${STORES.join(', ')}`);
  const nodes = values.nodes === undefined ? undefined : wholeNumber('nodes', values.nodes);
  if (nodes === 0) throw new UsageError('--nodes must be at least 1');
  if (nodes !== undefined && store !== undefined && store !== 'redis')
    throw new UsageError(`--nodes ${nodes}: only a redis store can be shared`);
  const show = values.help ? 'help' : values.list ? 'list' : values.plan ? 'plan' : 'run';
  return { seed, seconds, scenarios, store, nodes, show, dist: values.dist ?? DIST };
}

function parse(words: string[]) {
  try {
    return parseArgs({
      args: words,
      options: {
        seed: { type: 'string' },
        seconds: { type: 'string' },
        scenario: { type: 'string', multiple: true },
        store: { type: 'string' },
        nodes: { type: 'string' },
        dist: { type: 'string' },
        list: { type: 'boolean' },
        plan: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function isStore(name: string): name is Store {
  return (STORES as readonly string[]).includes(name);
}

function wholeNumber(name: string, value: string): number {
  if (!/^\d{1,10}$/.test(value)) throw new UsageError(`--${name} ${value}: must be a whole number`);
  return Number(value);
}
