/**
 * A stress run that looks for lies: see README.md beside this file.
 *
 *   npm run stress -- --help
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { check } from './check/index.ts';
import { endWith } from './ending.ts';
import { hasFaketime } from './gateway.ts';
import { House, type Figures } from './house.ts';
import { DIST, HELP, readOptions, UsageError, type Options } from './options.ts';
import { STORES, type Plan } from './plan.ts';
import { redisMissing } from './redis.ts';
import { commandOf, failureReport, progressLine, summary } from './report.ts';
import { planOf, SCENARIOS, storeOf } from './scenarios.ts';

const PROGRESS_MS = 2_000;

interface Run {
  scenario: string;
  figures: Figures;
  violations: number;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(words: string[]): Promise<number> {
  const options = readOptions(words);
  if (options.show === 'help') say(HELP);
  if (options.show === 'list') {
    for (const [name, { says, on = STORES }] of Object.entries(SCENARIOS))
      say(`${name.padEnd(16)}${on[0] === 'redis' ? 'needs Redis: ' : ''}${says}`);
    if (redisMissing) say(redisMissing);
  }
  if (options.show === 'help' || options.show === 'list') return 0;
  const skipped = new Map(options.scenarios.map((name) => [name, whySkipped(name, options)]));
  const played = options.scenarios.filter((name) => skipped.get(name) === undefined);
  const seconds = Math.max(1, Math.round(options.seconds / Math.max(1, played.length)));
  const plans = played.map((name) => planOf(name, options.seed, seconds, options));
  if (options.show === 'plan') {
    say(JSON.stringify(plans));
    return 0;
  }
  if (!existsSync(join(options.dist, 'main.js'))) {
    throw new UsageError(`${options.dist} holds no build: run npm run build first`);
  }
  const { seed, store } = options;
  say(`seed ${seed},${store ? ` ${store} store,` : ''} ${seconds} s a scenario`);
  const runs: Run[] = [];
  for (const [name, why] of skipped) if (why !== undefined) say(`  ${name}: skipped${why}`);
  for (const plan of plans) runs.push(await play(plan, seconds, options));
  say(summary(runs));
  if (runs.some(({ violations }) => violations > 0)) return 1;
  // Where nothing was asked of it, nothing could be found: that is no pass.
  return runs.length > 0 && runs.every(({ figures }) => figures.turns > 0) ? 0 : 2;
}

/** Why a scenario is not played here: the others share its time. */
function whySkipped(name: string, options: Options): string | undefined {
  const store = storeOf(name, options);
  if (store === undefined)
    return `, since what it does the ${options.store} store cannot bear or does not know`;
  return store === 'redis' && redisMissing ? `: ${redisMissing}` : undefined;
}

async function play(plan: Plan, seconds: number, options: Options): Promise<Run> {
  const { scenario } = plan;
  if (scenario === 'clock' && !hasFaketime) {
    say("  clock: libfaketime is missing; the process's clock is moved as JavaScript sees it");
  }
  const house = await House.open(plan, options.dist);
  const begun = performance.now();
  const progress = setInterval(
    () => say(progressLine(scenario, (performance.now() - begun) / 1_000, house.figures())),
    PROGRESS_MS,
  );
  try {
    const evidence = await house.play();
    for (const note of evidence.health.notes) say(`  ${scenario}: skipped: ${note}`);
    const violations = check(evidence);
    if (violations.length > 0) {
      say(
        failureReport(violations, evidence, {
          output: house.output,
          command: commandOf(plan, seconds, options.dist === DIST ? undefined : options.dist),
        }),
      );
    }
    return { scenario, figures: house.figures(), violations: violations.length };
  } finally {
    clearInterval(progress);
    await house.close();
  }
}

// Children are ended as the process exits.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

main(process.argv.slice(2)).then(endWith, (error: unknown) => {
  process.stderr.write(`${error instanceof UsageError ? error.message : String((error as Error).stack)}\n`);
  endWith(2);
});
