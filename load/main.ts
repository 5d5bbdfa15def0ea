/** `npm run load`: what README.md beside this file explains. */
import { existsSync } from 'node:fs';
import { endAll, temporaryFoldersIn } from '../bench/processes.ts';
import { endWith } from '../stress/ending.ts';
import { HELP, readOptions, UsageError, type Options } from './options.ts';
import { isBroken, table } from './report.ts';
import { SCENARIOS } from './scenarios/index.ts';
import type { Figure, Scenario } from './scenarios/scenario.ts';
import { Site } from './site.ts';
import { SIZES, type Size } from './sizes.ts';

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(args: string[]): Promise<number> {
  const options = readOptions(
    args,
    SCENARIOS.map(({ name }) => name),
  );
  const size = SIZES[options.size];
  if (options.show === 'help') say(HELP.trimEnd());
  if (options.show === 'list') for (const { name, what } of SCENARIOS) say(`${name.padEnd(14)}${what(size)}`);
  return options.show === 'run' ? run(options, size) : 0;
}

async function run(options: Options, size: Size): Promise<number> {
  if (!existsSync(new URL('../dist/main.js', import.meta.url)))
    throw new UsageError('dist/main.js is missing: npm run build');
  temporaryFoldersIn(options.dir);
  let broken = 0;
  for (const scenario of SCENARIOS.filter(({ name }) => options.scenarios.includes(name))) {
    say(`${scenario.name}: ${scenario.what(size)}`);
    const figures = await play(scenario, size);
    broken += figures.filter(isBroken).length;
    say(`${table(figures)}\n`);
  }
  say(broken === 0 ? 'every limit holds' : `${broken} limits are BROKEN`);
  return broken === 0 ? 0 : 1;
}

async function play(scenario: Scenario, size: Size): Promise<Figure[]> {
  const site = new Site((text) => process.stderr.write(`  … ${text}\n`));
  try {
    const figures = await scenario.play(site, size);
    if (size.judged) return figures;
    return figures.map((figure) => (figure.unit ? { ...figure, limit: undefined } : figure));
  } finally {
    await site.close();
  }
}

process.once('exit', endAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));

main(process.argv.slice(2)).then(endWith, (error: unknown) => {
  process.stderr.write(`${error instanceof UsageError ? error.message : String((error as Error).stack)}\n`);
  endWith(2);
});
