import type { Figure } from './scenarios/scenario.ts';

export function isBroken({ value, limit }: Figure): boolean {
  return limit !== undefined && !(value <= limit);
}

/** A row a figure, with what it may be at most. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { what, value, unit, limit } = figure;
    const verdict = limit === undefined ? '' : isBroken(figure) ? 'BROKEN' : 'holds';
    const allowed = limit === undefined ? '' : `≤ ${text(limit, unit)}`;
    return [what, text(value, unit), allowed, verdict];
  });
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(([what = '', value = '', allowed = '', verdict = '']) => {
      const [first = 0, second = 0, third = 0] = widths;
      return `  ${what.padEnd(first)}  ${value.padStart(second)}  ${allowed.padEnd(third)}  ${verdict}`.trimEnd();
    })
    .join('\n');
}

function text(value: number, unit: Figure['unit']): string {
  if (!Number.isFinite(value)) return 'never';
  const rounded = unit && value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
  return unit ? `${rounded} ${unit}` : rounded;
}
