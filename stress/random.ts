/**
 * Chance from a seed: what a stress or a fuzz run does at random is drawn from here, so that a seed is the run's name.
 * Mulberry32, of which each part of a plan has a stream of its own: adding a draw to one moves no other.
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** The stream of these words: a seed, and whatever names the part. */
  static of(...words: (string | number)[]): Random {
    let hash = 0x811c9dc5;
    for (const unit of Buffer.from(words.join('/'))) hash = Math.imul(hash ^ unit, 0x01000193);
    const random = new Random(hash);
    // The first numbers of neighbouring seeds resemble each other.
    for (let skipped = 0; skipped < 4; skipped += 1) random.next();
    return random;
  }

  /** From 0 up to, but without, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    if (items.length === 0) throw new Error('nothing to pick from');
    return items[this.int(0, items.length - 1)] as Item;
  }
}
