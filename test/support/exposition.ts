export interface Family {
  name: string;
  type: string;
  help: string;
  samples: { name: string; labels: Record<string, string>; value: number }[];
}

const HELP = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;
const TYPE = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

/** Reads Prometheus's text format 0.0.4, strictly. @throws Error that names the line that is none of it */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let family: Family | undefined;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, helpOf, help = ''] = HELP.exec(line) ?? [];
    const [, typeOf, type = ''] = TYPE.exec(line) ?? [];
    if (helpOf !== undefined) {
      if (families.has(helpOf)) throw new Error(`${helpOf} is there twice`);
      family = { name: helpOf, type: '', help, samples: [] };
      families.set(helpOf, family);
    } else if (typeOf !== undefined) {
      if (family?.name !== typeOf || family.samples.length > 0) throw new Error(`out of place: ${line}`);
      family.type = type;
    } else {
      const [, name = '', labels = '', value = ''] = SAMPLE.exec(line) ?? [];
      if (!family || !belongs(name, family)) throw new Error(`not expected here: ${line}`);
      if (seen.has(`${name}{${labels}}`)) throw new Error(`twice: ${line}`);
      seen.add(`${name}{${labels}}`);
      family.samples.push({ name, labels: labelsOf(labels, line), value: numberOf(value, line) });
    }
  }
  for (const each of families.values()) if (each.type === 'histogram') checkBuckets(each);
  return families;
}

/** What Prometheus's own linter says of names, types and help texts. */
export function complaintsAbout({ name, type, help }: Family): string[] {
  const complaints: string[] = [];
  if (type === '') complaints.push(`${name} has no type`);
  if (help.trim() === '') complaints.push(`${name} has no help`);
  if (type === 'counter' && !name.endsWith('_total')) complaints.push(`${name} is a counter without _total`);
  if (type !== 'counter' && name.endsWith('_total'))
    complaints.push(`${name} ends in _total, and counts not`);
  if (/_(count|sum|bucket)$/.test(name)) complaints.push(`${name} is called as a part of a histogram`);
  if (/(milli|micro|nano|_ms|minutes|hours|kilobytes|megabytes|_kb|_mb|percent)/.test(name))
    complaints.push(`${name} has another unit than the base unit`);
  if (/[A-Z]/.test(name)) complaints.push(`${name} is not in snake case`);
  return complaints;
}

function belongs(name: string, { name: family, type }: Family): boolean {
  if (name === family) return type !== 'histogram';
  const suffix = name.slice(family.length);
  return (
    name.startsWith(family) &&
    ((type === 'histogram' && ['_bucket', '_sum', '_count'].includes(suffix)) ||
      (type === 'summary' && ['_sum', '_count'].includes(suffix)))
  );
}

function labelsOf(written: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < written.length) {
    const at = LABEL.lastIndex;
    const found = LABEL.exec(written);
    if (!found || LABEL.lastIndex === at) throw new Error(`broken labels: ${line}`);
    labels[found[1] ?? ''] = found[2] ?? '';
  }
  return labels;
}

function numberOf(written: string, line: string): number {
  const value = written === '+Inf' ? Infinity : written === 'Nan' ? NaN : Number(written);
  if (Number.isNaN(value) && written !== 'Nan' && written !== 'NaN') throw new Error(`no number: ${line}`);
  return value;
}

/** Buckets only grow, the last is of all, and that is the count. */
function checkBuckets({ name, samples }: Family): void {
  const series = Map.groupBy(samples, ({ labels: { le: _, ...rest } }) => JSON.stringify(rest));
  for (const [labels, of] of series) {
    const buckets = of.filter((sample) => sample.name === `${name}_bucket`);
    const count = of.find((sample) => sample.name === `${name}_count`)?.value;
    const sum = of.find((sample) => sample.name === `${name}_sum`);
    const falls = buckets.some(({ value }, index) => value < (buckets[index - 1]?.value ?? 0));
    const last = buckets.at(-1);
    if (falls || last?.labels['le'] !== '+Inf' || last.value !== count || !sum)
      throw new Error(`${name}${labels}: the buckets do not add up`);
  }
}
