/**
 * Shows that each scenario can fail: puts one fault at a time into a copy of the build, plays a scenario against it,
 * and expects the lie to be found and named.
 *
 *   npm run stress:mutations -- [--seed N] [--seconds N] [--only WORDS] [--table FILE]
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { format } from 'prettier';
import { endWith } from '../ending.ts';
import { redisMissing } from '../redis.ts';
import { mutated } from './mutated.ts';
import { CLUSTER_MUTATIONS } from './mutations.cluster.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

interface Outcome {
  mutation: Mutation;
  caught: boolean;
  /** Every invariant that was found broken. */
  broken: string[];
  seconds: number;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(words: string[]): Promise<number> {
  const { values } = parseArgs({
    args: words,
    options: {
      seed: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '6' },
      only: { type: 'string' },
      table: { type: 'string' },
    },
  });
  const { seed, seconds, only } = values;
  if (redisMissing) say(`those of several nodes are left out: ${redisMissing}`);
  const all = redisMissing ? MUTATIONS : [...MUTATIONS, ...CLUSTER_MUTATIONS];
  const chosen = all.filter(({ name, scenario }) => !only || `${scenario} ${name}`.includes(only));
  if (chosen.length === 0) throw new Error(`--only ${only}: no fault's scenario or name holds that`);
  // One that does not fit is better known now than after the others have been played.
  for (const mutation of chosen) mutated(join(ROOT, 'dist'), mutation);
  const outcomes: Outcome[] = [];
  for (const mutation of chosen) {
    const begun = performance.now();
    const { code, output } = await play(mutation, seed, seconds);
    const broken = [...output.matchAll(/^(I\d) is broken/gm)].map(([, name]) => name ?? '');
    const caught = code === 1 && broken.includes(mutation.invariant);
    outcomes.push({ mutation, caught, broken, seconds: (performance.now() - begun) / 1_000 });
    say(`${caught ? 'caught' : 'MISSED'}  ${mutation.scenario}: ${mutation.name} (${mutation.invariant}; broken: ${broken.join(', ') || 'none'})`); // prettier-ignore
    if (!caught) say(output);
    for (const [, folder] of output.matchAll(/^ledgers: (.*)$/gm))
      if (folder) rmSync(folder, { recursive: true });
  }
  if (values.table) {
    const text = await format(table(outcomes, seed, seconds), { parser: 'markdown' });
    writeFileSync(values.table, text);
  }
  const missed = outcomes.filter(({ caught }) => !caught).length;
  say(`${outcomes.length - missed} of ${outcomes.length} caught`);
  return missed === 0 ? 0 : 1;
}

/** Plays the scenario against a copy of the build with the fault in it. */
async function play(
  mutation: Mutation,
  seed: string,
  seconds: string,
): Promise<{ code: number; output: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-mutation-'));
  try {
    cpSync(join(ROOT, 'dist'), join(folder, 'dist'), { recursive: true });
    // What the build finds beside itself.
    for (const name of ['node_modules', 'web', 'package.json'])
      symlinkSync(join(ROOT, name), join(folder, name));
    writeFileSync(join(folder, 'dist', mutation.file), mutated(join(ROOT, 'dist'), mutation));
    const { scenario } = mutation;
    return await run([
      '--seed',
      seed,
      '--seconds',
      String(mutation.seconds ?? seconds),
      '--scenario',
      scenario,
      '--dist',
      join(folder, 'dist'),
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(words: string[]): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const end = (): void => void child.kill('SIGTERM');
  process.once('exit', end);
  let output = '';
  child.stdout.on('data', (piece: Buffer) => (output += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (output += piece.toString()));
  return new Promise((resolve) =>
    child.once('close', (code) => {
      process.off('exit', end);
      resolve({ code: code ?? -1, output });
    }),
  );
}

function table(outcomes: Outcome[], seed: string, seconds: string): string {
  const rows = outcomes.map(({ mutation: { name, scenario, invariant, file }, caught, broken, seconds: took }) =>
    `| ${scenario} | ${name} | \`${file}\` | ${invariant} | ${caught ? 'yes' : '**no**'} | ${broken.join(', ') || '-'} | ${took.toFixed(0)} s |`); // prettier-ignore
  return [
    '# Mutations of the stress run',
    '',
    `Written by \`npm run stress:mutations -- --table docs/stress-mutations.md\`; seed ${seed}, ${seconds} s each, some of several nodes longer. Every row is a fault that was put into a copy of the build, and what the scenario then found. The faults are in \`stress/mutations/mutations.ts\`.`,
    '',
    '| scenario | fault | in `dist` | must find | found | all that was found broken | took |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

main(process.argv.slice(2)).then(endWith, (error: unknown) => {
  process.stderr.write(`${(error as Error).message}\n`);
  endWith(2);
});
