/** `npm run bench`: what README.md beside this file explains. */
import { existsSync, writeFileSync } from 'node:fs';
import { HELP, readOptions, type Options } from './options.ts';
import { endAll, startProgram, temporaryFoldersIn, type Started } from './processes.ts';
import { RedisServer } from './redis.ts';
import { json, scenarioText, targetsText } from './report.ts';
import { isValid, Results, type Measurement } from './results.ts';
import { Run } from './run.ts';
import { SCENARIOS } from './scenarios/index.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { endWith } from '../stress/ending.ts';
import { SIZES } from './sizes.ts';
import { svg } from './svg.ts';
import { TARGETS, verdictOf } from './targets.ts';
import { REDIS_NODES, type Contender } from './contenders.ts';

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function measure(
  scenario: Scenario,
  contender: Contender,
  round: number,
  run: Run,
): Promise<Measurement> {
  const begin = performance.now();
  let figures: Record<string, number> = {};
  let error: string | undefined;
  try {
    figures = await scenario.measure(run, contender);
  } catch (failure) {
    error = failure instanceof Error ? failure.message : String(failure);
  }
  const { lostAnswers, warnings } = run;
  const seconds = ((performance.now() - begin) / 1_000).toFixed(1);
  const remarks = error === undefined ? warnings : [...warnings, 'FAILED'];
  progress(
    `${scenario.name} ${round}: ${contender}, ${seconds} s${remarks.map((text) => `; ${text}`).join('')}`,
  );
  const base = { scenario: scenario.name, contender, round, figures, lostAnswers, warnings };
  return error === undefined ? base : { ...base, error };
}

/** Every contender in turn, begun by another one each round; what is not valid is measured again. */
async function compare(
  scenario: Scenario,
  { contenders, rounds, size }: Options,
  upstream: Started,
  redisUrl: string | undefined,
  results: Results,
): Promise<void> {
  const taking = scenario.contenders.filter((contender) => contenders.includes(contender));
  for (let round = 1; round <= rounds; round += 1) {
    const first = (round - 1) % Math.max(1, taking.length);
    for (const contender of [...taking.slice(first), ...taking.slice(0, first)]) {
      for (let left = SIZES[size].tries; left > 0; left -= 1) {
        const run = new Run(SIZES[size], upstream, redisUrl, scenario.hasTails ?? false);
        const measurement = await measure(scenario, contender, round, run);
        results.add(measurement);
        if (isValid(measurement)) break;
      }
    }
  }
}

function needsRedis(contender: Contender): boolean {
  return contender === 'ai-resumable' || contender in REDIS_NODES;
}

async function bench(options: Options): Promise<number> {
  if (!existsSync(new URL('../dist/main.js', import.meta.url)))
    throw new Error('dist/main.js is missing: npm run build');
  temporaryFoldersIn(options.dir);
  const size = SIZES[options.size];
  const skipped: string[] = [];
  const needing = options.contenders.filter(needsRedis);
  const redis = needing.length > 0 ? await RedisServer.start(false) : undefined;
  if (!redis && needing.length > 0) {
    skipped.push(`${needing.join(', ')}: install redis-server to measure them`);
    options.contenders = options.contenders.filter((contender) => !needsRedis(contender));
  }
  const upstream = await startProgram('bench/upstream.ts');
  const results = new Results();
  const scenarios = SCENARIOS.filter(({ name }) => options.scenarios.includes(name));
  for (const scenario of scenarios) await compare(scenario, options, upstream, redis?.url, results);

  const { rounds } = options;
  console.log(
    `Node ${process.version}, medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'}; less is better\n`,
  );
  for (const scenario of scenarios) console.log(`${scenarioText(scenario, results, size)}\n`);
  for (const reason of skipped) console.log(`skipped ${reason}\n`);
  console.log(targetsText(results, size));
  const more = { sizeName: options.size, size, rounds, skipped };
  if (options.json !== undefined) writeFileSync(options.json, json(scenarios, results, more));
  if (options.svg !== undefined) writeFileSync(options.svg, svg(scenarios, results, size));
  const missed = TARGETS.some((target) => verdictOf(target, results, size).missed);
  const failed = results.measurements.some(
    ({ error, lostAnswers }) => error !== undefined || lostAnswers > 0,
  );
  return options.strict && (missed || failed) ? 1 : 0;
}

let options: Options;
try {
  options = readOptions(
    process.argv.slice(2),
    SCENARIOS.map(({ name }) => name),
  );
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${HELP}`);
  process.exit(2);
}
if (options.help) {
  process.stdout.write(HELP);
} else {
  process.once('exit', endAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(130));
  try {
    endWith(await bench(options));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    endWith(1);
  }
}
