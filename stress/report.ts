import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { INVARIANTS, type Violation } from './check/violation.ts';
import type { Figures } from './house.ts';
import type { Evidence } from './ledgers.ts';
import type { Plan } from './plan.ts';

/** Of each invariant, the first few: the rest mostly says the same. */
const SHOWN = 3;

export function progressLine(scenario: string, seconds: number, figures: Figures): string {
  const { turns, tokens, reconnects, cuts, kills, stops, faults } = figures;
  return (
    `  ${scenario} ${seconds.toFixed(0).padStart(4)} s: ${turns} turns, ${tokens} tokens, ${reconnects} reconnects, ` +
    `${cuts} cuts, ${kills} kills, ${stops} drains, ${faults} faults`
  );
}

/** All runs in one line each, and together. */
export function summary(runs: { scenario: string; figures: Figures; violations: number }[]): string {
  const rows = runs.map(({ scenario, figures, violations }) => [
    scenario,
    String(figures.turns),
    String(figures.tokens),
    String(figures.reconnects),
    String(figures.cuts),
    String(figures.kills),
    String(figures.stops),
    String(figures.faults),
    `${figures.exact} of ${figures.resumes}`,
    percentile(figures.catchUpMs, 0.99),
    violations > 0 ? `${violations} VIOLATIONS` : figures.turns > 0 ? 'holds' : 'NOTHING TRIED',
  ]);
  const head = ['scenario', 'turns', 'tokens', 'reconnects', 'cuts', 'kills', 'drains', 'faults', 'resumed exactly', 'catch-up p99', '']; // prettier-ignore
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [head, ...rows].map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n'); // prettier-ignore
}

function percentile(values: number[], share: number): string {
  if (values.length === 0) return '-';
  const sorted = values.toSorted((a, b) => a - b);
  return `${(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(0)} ms`;
}

/** What is broken, how to see it again, and where the ledgers are. */
export function failureReport(
  violations: readonly Violation[],
  evidence: Evidence,
  options: { output: string; command: string },
): string {
  const lines: string[] = ['', `SEED ${evidence.plan.seed}, scenario ${evidence.plan.scenario}`];
  for (const [invariant, means] of Object.entries(INVARIANTS)) {
    const found = violations.filter((violation) => violation.invariant === invariant);
    if (found.length === 0) continue;
    lines.push('', `${invariant} is broken ${found.length} times: ${means}`);
    for (const { where, what } of found.slice(0, SHOWN)) lines.push(`- ${where}:`, indented(what));
  }
  lines.push(
    '',
    `again: ${options.command}`,
    `ledgers: ${keepLedgers(violations, evidence, options.output)}`,
  );
  return lines.join('\n');
}

/**
 * The command that plays this plan.
 * @param dist the build, where it is another than the repository's own
 */
export function commandOf(plan: Plan, seconds: number, dist?: string): string {
  return `npm run stress -- --seed ${plan.seed} --seconds ${seconds} --scenario ${plan.scenario} --store ${plan.store}${plan.nodes > 1 ? ` --nodes ${plan.nodes}` : ''}${dist === undefined ? '' : ` --dist '${dist}'`}`;
}

function keepLedgers(violations: readonly Violation[], evidence: Evidence, output: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-stress-ledgers-'));
  const write = (name: string, rows: readonly unknown[]): void =>
    writeFileSync(join(folder, name), rows.map((row) => JSON.stringify(row)).join('\n'));
  write('violations.jsonl', violations);
  write('plan.jsonl', [evidence.plan]);
  for (const { name, records } of evidence.clients) write(`client-${name}.jsonl`, records);
  for (const { name, records } of evidence.readers)
    write(`reader-${name.replaceAll(' ', '-')}.jsonl`, records);
  write('model.jsonl', evidence.calls);
  write('stored.jsonl', evidence.stored);
  write('blows.jsonl', evidence.blows);
  writeFileSync(join(folder, 'gateway.log'), output);
  return folder;
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
}
