/** What was measured, of all rounds, and what follows from it. */
import { BASE, type Contender } from './contenders.ts';
import { NOT_VALID } from './run.ts';
import type { FigureInfo, Scenario } from './scenarios/scenario.ts';
import type { Size } from './sizes.ts';
import { median } from './stats.ts';

/** One round of one contender; no figures where it failed. */
export interface Measurement {
  scenario: string;
  contender: Contender;
  /** From 1 on. */
  round: number;
  figures: Record<string, number>;
  lostAnswers: number;
  warnings: string[];
  error?: string;
}

/** One figure of one contender over the rounds, in the figure's unit. */
export interface Summary extends FigureInfo {
  scenario: string;
  contender: Contender;
  figure: string;
  median: number;
  min: number;
  max: number;
  rounds: number[];
  /** To {@link BASE}: the median of the ratios within each round. */
  ratio?: number;
}

export class Results {
  readonly measurements: Measurement[] = [];

  add(measurement: Measurement): void {
    this.measurements.push(measurement);
  }

  /** The rounds whose figures are valid; where none is, all of them. */
  of(scenario: string, contender: Contender): Measurement[] {
    const all = this.#all(scenario, contender);
    const valid = all.filter(isValid);
    return valid.length > 0 ? valid : all;
  }

  /** It was measured, and no round of it is valid. */
  isDoubtful(scenario: string, contender: Contender): boolean {
    const all = this.#all(scenario, contender);
    return all.length > 0 && !all.some(isValid);
  }

  #all(scenario: string, contender: Contender): Measurement[] {
    return this.measurements.filter((one) => one.scenario === scenario && one.contender === contender);
  }

  values(scenario: string, contender: Contender, figure: string): number[] {
    return this.of(scenario, contender).flatMap(({ figures }) => figures[figure] ?? []);
  }

  /** Median over the rounds; undefined: not measured. */
  median(scenario: string, contender: Contender, figure: string): number | undefined {
    const values = this.values(scenario, contender, figure);
    return values.length > 0 ? median(values) : undefined;
  }

  /** Median of the ratios within each round, so that a slow minute of the machine counts on both sides. */
  ratio(scenario: string, figure: string, contender: Contender, to: Contender): number | undefined {
    return this.#compare(scenario, figure, contender, to, (value, base) => value / base);
  }

  /** Median of the differences within each round. */
  difference(scenario: string, figure: string, contender: Contender, to: Contender): number | undefined {
    return this.#compare(scenario, figure, contender, to, (value, base) => value - base);
  }

  #compare(
    scenario: string,
    figure: string,
    contender: Contender,
    to: Contender,
    compare: (value: number, base: number) => number,
  ): number | undefined {
    const bases = new Map(this.of(scenario, to).map(({ round, figures }) => [round, figures[figure]]));
    const compared = this.of(scenario, contender).flatMap(({ round, figures }) => {
      const [value, base] = [figures[figure], bases.get(round)];
      return value !== undefined && base ? [compare(value, base)] : [];
    });
    if (compared.length > 0) return median(compared);
    // No round in which both are valid.
    const [value, base] = [this.median(scenario, contender, figure), this.median(scenario, to, figure)];
    return value !== undefined && base ? compare(value, base) : undefined;
  }

  summaries(scenario: Scenario, size: Size): Summary[] {
    return Object.entries(scenario.figures(size)).flatMap(([figure, info]) =>
      scenario.contenders.flatMap((contender) => {
        const rounds = this.values(scenario.name, contender, figure);
        if (rounds.length === 0) return [];
        const ratio = this.ratio(scenario.name, figure, contender, BASE);
        return {
          scenario: scenario.name,
          contender,
          figure,
          ...info,
          median: median(rounds),
          min: Math.min(...rounds),
          max: Math.max(...rounds),
          rounds,
          ...(ratio !== undefined && { ratio }),
        };
      }),
    );
  }
}

export function isValid({ warnings }: Measurement): boolean {
  return !warnings.some((text) => text.includes(NOT_VALID));
}
