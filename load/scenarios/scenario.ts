import type { Site } from '../site.ts';
import type { Size } from '../sizes.ts';

/** What was found, and what it may be at most. */
export interface Figure {
  what: string;
  value: number;
  /** Undefined: a count. */
  unit?: 'ms' | 'MB';
  /** Undefined: it says something, and nothing is asked of it. */
  limit?: number;
}

export interface Scenario {
  name: string;
  what: (size: Size) => string;
  /** @returns its figures; it throws where it could not be played to its end */
  play: (site: Site, size: Size) => Promise<Figure[]>;
}
