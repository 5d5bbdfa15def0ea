/** Results as text and as JSON. */
import { cpus } from 'node:os';
import { BASE } from './contenders.ts';
import type { Results, Summary } from './results.ts';
import type { Scenario } from './scenarios/scenario.ts';
import type { Size } from './sizes.ts';
import { TARGETS, verdictOf } from './targets.ts';

/** A table with its columns as wide as they need to be; the first is aligned to the left. */
function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function number(value: number): string {
  const size = Math.abs(value);
  if (size >= 1_000) return Math.round(value).toLocaleString('en');
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function figureRows(summaries: Summary[]): string[][] {
  const [first] = summaries;
  if (!first) return [];
  const rows = summaries.map(({ contender, median, min, max, ratio }) => [
    `  ${contender}`,
    number(median),
    `${number(min)} – ${number(max)}`,
    ratio === undefined ? '' : ratio.toFixed(2),
  ]);
  const ratios = summaries.some(({ ratio }) => ratio !== undefined);
  return [[first.title, first.unit, 'spread', ratios ? `× ${BASE}` : ''], ...rows];
}

export function scenarioText(scenario: Scenario, results: Results, size: Size): string {
  const byFigure = Map.groupBy(results.summaries(scenario, size), ({ figure }) => figure);
  const rows = [...byFigure.values()].filter(([first]) => !first?.detail).flatMap(figureRows);
  const remarks = results.measurements
    .filter((one) => one.scenario === scenario.name)
    .flatMap(({ contender, round, warnings, error }) =>
      [...warnings, ...(error === undefined ? [] : [`FAILED: ${error}`])].map(
        (text) => `  ! ${contender}, round ${round}: ${text.replaceAll('\n', '\n      ')}`,
      ),
    );
  return [`${scenario.name}: ${scenario.what(size)}`, table(rows), ...remarks].join('\n');
}

export function targetsText(results: Results, size: Size): string {
  const rows = TARGETS.map((target) => {
    const { value, text } = verdictOf(target, results, size);
    const { figure, unit, must, aim } = target;
    const shown = value === undefined ? '' : `${number(value)} ${unit}`.trim();
    return [figure, shown, `≤ ${number(must)}`, `≤ ${number(aim)}`, text];
  });
  return table([['Mooring on SQLite, and on Redis', 'measured', 'must', 'aim', ''], ...rows]);
}

export function json(
  scenarios: readonly Scenario[],
  results: Results,
  options: { sizeName: string; size: Size; rounds: number; skipped: string[] },
): string {
  const { size } = options;
  const report = {
    node: process.version,
    cpus: cpus().length,
    base: BASE,
    ...options,
    targets: TARGETS.map((target) => {
      const { value, text } = verdictOf(target, results, size);
      const { figure, unit, must, aim } = target;
      return { figure, unit, must, aim, value, verdict: text };
    }),
    summaries: scenarios.flatMap((scenario) => results.summaries(scenario, size)),
    measurements: results.measurements,
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}
