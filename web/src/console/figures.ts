import type { Usage } from '../../../src/protocol.js';

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const COMPACT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

const UNITS: [unit: string, ms: number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

/** As `3 h`: the largest unit of which there is one. */
export function duration(ms: number): string {
  const [unit, size] = UNITS.find(([, each]) => ms >= each) ?? ['s', 1_000];
  return `${Math.max(0, Math.floor(ms / size))} ${unit}`;
}

/** From a time in ISO 8601 until `now`, epoch milliseconds. */
export function since(time: string | null, now: number): string {
  return time === null ? '?' : duration(now - Date.parse(time));
}

export function bytes(count: number): string {
  if (count < 1024) return `${NUMBER.format(count)} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length, Math.floor(Math.log2(count) / 10));
  return `${NUMBER.format(count / 1024 ** power)} ${units[power - 1]}`;
}

export function number(value: number): string {
  return Math.abs(value) < 10_000 ? NUMBER.format(value) : COMPACT.format(value);
}

export function tokens(usage: Usage | null | undefined): string {
  if (!usage) return '0';
  return `${usage.estimated ? '≈ ' : ''}${number(usage.inputTokens + usage.outputTokens)}`;
}

/** The line through the values, from left to right, in a box of that size; the least is never above 0. */
export function line(values: readonly number[], width: number, height: number): string {
  const most = Math.max(1, ...values);
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  const points = values.map(
    (value, index) => `${round(index * step)} ${round(height - (value / most) * height)}`,
  );
  return points.length === 0 ? '' : `M${points.join('L')}`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
