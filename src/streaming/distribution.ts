/**
 * How often values of which size were seen, in buckets: plain counts, since some of it is counted for each flush of
 * each stream. Whoever reads it sums up the buckets.
 */
export class Distribution {
  /** Of each bucket alone; the last one is of what is above all bounds. */
  readonly counts: number[];
  count = 0;
  sum = 0;

  /** @param bounds ascending, inclusive */
  constructor(readonly bounds: readonly number[]) {
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  add(value: number): void {
    let bucket = 0;
    // A dozen at most, and most values are small.
    while (bucket < this.bounds.length && value > (this.bounds[bucket] ?? Infinity)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.count += 1;
    this.sum += value;
  }
}
