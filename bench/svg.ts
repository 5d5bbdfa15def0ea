/** The ratios as a chart: one group of bars for each figure, on a logarithmic scale around the base. */
import { BASE } from './contenders.ts';
import { number } from './report.ts';
import type { Results, Summary } from './results.ts';
import type { Scenario } from './scenarios/scenario.ts';
import type { Size } from './sizes.ts';

const WIDTH = 760;
const LABELS = 150;
const VALUES = 130;
const BAR = 16;
const ROW = 22;
const HEAD = 34;

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2933; }
  .title { font-weight: 600; }
  .faint { fill: #66717d; }
  .base { stroke: #66717d; stroke-dasharray: 3 3; }
  .other { fill: #a9b4bf; }
  .mooring { fill: #0b6e8f; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7eb; }
    .faint { fill: #9aa5b1; }
    .other { fill: #52606d; }
    .mooring { fill: #3fb2d8; }
  }`;

/** Only what all contenders of a scenario have in common with the base can be drawn. */
export function svg(scenarios: readonly Scenario[], results: Results, size: Size): string {
  const groups = scenarios.flatMap((scenario) => {
    const shown = results
      .summaries(scenario, size)
      .filter(({ ratio, detail }) => ratio !== undefined && ratio > 0 && !detail);
    return [...Map.groupBy(shown, ({ figure }) => figure).values()].map((bars) => ({ scenario, bars }));
  });
  const ratios = groups.flatMap(({ bars }) => bars.map(({ ratio = 1 }) => Math.log2(ratio)));
  const low = Math.floor(Math.min(0, ...ratios)) - 0.5;
  const high = Math.ceil(Math.max(1, ...ratios));
  const scale = (value: number): number =>
    LABELS + ((value - low) / (high - low)) * (WIDTH - LABELS - VALUES);
  let y = HEAD;
  const parts = [
    `<text x="0" y="16" class="faint">× ${BASE}, less is better; logarithmic, the dashed line is 1</text>`,
  ];
  for (const { scenario, bars } of groups) {
    parts.push(`<text x="0" y="${y + 14}" class="title">${escape(titleOf(scenario, bars))}</text>`);
    y += HEAD - 10;
    const top = y;
    for (const bar of bars) {
      parts.push(barOf(bar, y, scale, low));
      y += ROW;
    }
    const base = scale(0).toFixed(1);
    parts.push(`<line x1="${base}" x2="${base}" y1="${top - 2}" y2="${y - 2}" class="base"/>`);
    y += HEAD / 2;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">`,
    `<title>Mooring and others, as ratios to ${BASE}</title>`,
    `<style>${STYLE}</style>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function titleOf({ name }: Scenario, [first]: Summary[]): string {
  return `${name}: ${first?.title ?? ''}`;
}

function barOf(
  { contender, ratio = 1, median, unit }: Summary,
  y: number,
  scale: (value: number) => number,
  low: number,
): string {
  const end = scale(Math.log2(ratio));
  const begin = scale(low);
  const kind = contender.startsWith('mooring') ? 'mooring' : 'other';
  const middle = y + BAR - 4;
  return [
    `<text x="${LABELS - 8}" y="${middle}" text-anchor="end">${contender}</text>`,
    `<rect x="${begin.toFixed(1)}" y="${y}" width="${(end - begin).toFixed(1)}" height="${BAR}" rx="2" class="${kind}"/>`,
    `<text x="${(end + 6).toFixed(1)}" y="${middle}">${ratio.toFixed(2)}<tspan class="faint"> ${number(median)} ${unit}</tspan></text>`,
  ].join('');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
