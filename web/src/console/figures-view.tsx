import type { ReactNode } from 'react';
import type { AdminStats } from '../../../src/ops/admin.api.js';
import { bytes, duration, number } from './figures.js';

/** What the node does now, and since it began. */
export function Figures({ stats }: { stats: AdminStats }): ReactNode {
  const { node, sessions, turns, events, opens, tokens, rates, memory } = stats;
  const ended = turns.completed + turns.cancelled + turns.interrupted + turns.failed;
  const groups: [title: string, rows: [name: string, value: string, more?: string][]][] = [
    [
      'Now',
      [
        ['Attached', sessions ? number(sessions.attached) : '?'],
        ['Detached', sessions ? number(sessions.detached) : '?'],
        ['Orphaned', sessions ? number(sessions.orphaned) : '?'],
        ['Sockets', number(stats.sockets)],
        ['Unsent', bytes(stats.unsentBytes)],
      ],
    ],
    [
      'A second',
      [
        ['Events', number(rates.events)],
        ['Turns ended', number(rates.turns)],
        ['Tokens', number(rates.tokens)],
        ['Resumes', number(rates.resumes)],
        ['Dropped sends', number(rates.droppedSends)],
      ],
    ],
    [
      'Since the start',
      [
        ['Turns ended', number(ended), turns.failed > 0 ? `${number(turns.failed)} failed` : undefined],
        ['Resumes', number(opens.replayed + opens.snapshot), `${number(opens.snapshot)} by snapshot`],
        ['Dropped sends', number(stats.droppedSends), `of ${number(events.appended)} events`],
        ['Orphans ended', number(stats.orphansEnded)],
        ['Tokens', number(tokens.input + tokens.output), `${number(tokens.output)} out`],
      ],
    ],
    [
      'Process',
      [
        ['Version', node.version],
        ['Up', duration(node.uptimeMs)],
        ['Memory', bytes(memory.rss)],
        ['Event loop late', `${number(stats.eventLoopDelayMs)} ms`],
        ['Catch-ups', number(stats.catchUps)],
      ],
    ],
  ];
  return (
    <section aria-label="Figures" className="figures" data-testid="figures">
      {groups.map(([title, rows]) => (
        <div key={title} className="card">
          <h2>{title}</h2>
          <dl>
            {rows.map(([name, value, more]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>
                  {value}
                  {more !== undefined && <small> {more}</small>}
                </dd>
              </div>
            ))}
          </dl>
        </div>
      ))}
    </section>
  );
}
