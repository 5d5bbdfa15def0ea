import type { ReactNode } from 'react';
import type { AdminSample } from '../../../src/ops/admin.api.js';
import { line, number } from './figures.js';

const WIDTH = 300;
const HEIGHT = 56;

const CHARTS = [
  ['streams', 'Streams', ''],
  ['orphans', 'Orphans', ''],
  ['droppedSends', 'Dropped sends', ' a second'],
  ['resumes', 'Resumes', ' a second'],
] as const;

/** The last five minutes, each line on a scale of its own. */
export function Charts({ samples }: { samples: readonly AdminSample[] }): ReactNode {
  return (
    <section aria-label="The last five minutes" className="charts" data-testid="charts">
      {CHARTS.map(([key, name, unit]) => {
        const values = samples.map((sample) => sample[key]);
        const now = values.at(-1) ?? 0;
        const most = Math.max(0, ...values);
        return (
          <figure key={key} className="card" data-testid={`chart-${key}`} data-now={now} data-most={most}>
            <figcaption>
              {name} <strong>{number(now)}</strong>
              <small>
                {unit === '' ? '' : `${unit},`} at most {number(most)}
              </small>
            </figcaption>
            <svg
              viewBox={`0 -2 ${WIDTH} ${HEIGHT + 4}`}
              preserveAspectRatio="none"
              role="img"
              aria-label={`${name}${unit} over five minutes: now ${number(now)}, at most ${number(most)}`}
            >
              <path className="base" d={`M0 ${HEIGHT}H${WIDTH}`} />
              <path className="line" d={line(values, WIDTH, HEIGHT)} />
            </svg>
          </figure>
        );
      })}
    </section>
  );
}
