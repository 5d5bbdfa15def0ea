import type { FormEvent, ReactNode } from 'react';
import type { AdminSession } from '../../../src/ops/admin.api.js';
import type { SessionPresence } from '../../../src/protocol.js';
import { bytes, number, since, tokens } from './figures.js';
import type { Watch, WatchState } from './watch.js';

interface Props {
  watch: Watch;
  state: WatchState;
  /** Epoch milliseconds, by the gateway's clock. */
  now: number;
  onShow: (sessionId: string) => void;
}

const FILTERS: [label: string, state: SessionPresence | undefined][] = [
  ['All', undefined],
  ['Attached', 'attached'],
  ['Detached', 'detached'],
  ['Orphaned', 'orphaned'],
];

export function SessionsTable({ watch, state, now, onShow }: Props): ReactNode {
  const { sessions: listed, filter, page, stats } = state;
  const sessions = listed?.sessions;
  const find = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const sessionId = new FormData(event.currentTarget).get('id');
    if (typeof sessionId === 'string' && sessionId.trim() !== '') onShow(sessionId.trim());
  };
  return (
    <section aria-labelledby="sessions" className="card sessions">
      <div className="sessions-head">
        <h2 id="sessions">Sessions</h2>
        <div role="group" aria-label="Which sessions" className="filters">
          {FILTERS.map(([label, each]) => {
            const count = each && stats?.sessions ? ` ${number(stats.sessions[each])}` : '';
            return (
              <button
                key={label}
                type="button"
                className="quiet"
                data-testid={`filter-${each ?? 'all'}`}
                aria-pressed={filter === each}
                onClick={() => watch.filter(each)}
              >
                {label}
                {count}
              </button>
            );
          })}
        </div>
        <form className="find" onSubmit={find}>
          <label className="unseen" htmlFor="find">
            Session id
          </label>
          <input id="find" name="id" data-testid="find" placeholder="Session id" autoComplete="off" />
          <button type="submit" className="quiet">
            Find
          </button>
        </form>
      </div>
      <div className="table" role="region" aria-label="Table of sessions" tabIndex={0}>
        <table data-testid="sessions" data-page={page} aria-busy={!sessions}>
          <thead>
            <tr>
              <th scope="col">Session</th>
              <th scope="col">State</th>
              <th scope="col" className="wide">
                Agent
              </th>
              <th scope="col">Age</th>
              <th scope="col" className="wide">
                Last active
              </th>
              <th scope="col" className="figure">
                Sockets
              </th>
              <th scope="col" className="wide">
                Turn
              </th>
              <th scope="col" className="figure">
                Unsent
              </th>
              <th scope="col" className="figure">
                Tokens
              </th>
            </tr>
          </thead>
          <tbody>
            {sessions?.map((session) => (
              <Row key={session.sessionId} session={session} now={now} onShow={onShow} />
            ))}
          </tbody>
        </table>
        {sessions?.length === 0 && (
          <p className="empty" data-testid="empty">
            {page > 1 ? 'Nothing is left on this page.' : `No ${filter ?? ''} sessions.`.replace('  ', ' ')}
          </p>
        )}
      </div>
      <nav aria-label="Pages of sessions" className="pages">
        <button
          type="button"
          className="quiet"
          data-testid="previous"
          disabled={page === 1}
          onClick={() => watch.previousPage()}
        >
          Previous
        </button>
        <span>Page {page}</span>
        <button
          type="button"
          className="quiet"
          data-testid="next"
          disabled={listed?.nextCursor === undefined}
          onClick={() => watch.nextPage()}
        >
          Next
        </button>
      </nav>
    </section>
  );
}

interface RowProps {
  session: AdminSession;
  now: number;
  onShow: (sessionId: string) => void;
}

function Row({ session, now, onShow }: RowProps): ReactNode {
  const { sessionId, agent, state, sockets, turn, lastActiveAt, createdAt, unsentBytes } = session;
  return (
    <tr data-testid="session" data-session={sessionId}>
      <th scope="row">
        <button type="button" className="link id" title={sessionId} onClick={() => onShow(sessionId)}>
          {sessionId}
        </button>
      </th>
      <td>
        <span className="state" data-state={state}>
          {state}
        </span>
      </td>
      <td className="wide">{agent}</td>
      <td>{since(createdAt, now)}</td>
      <td className="wide">{since(lastActiveAt, now)} ago</td>
      <td className="figure">{number(sockets)}</td>
      <td className="wide id">{turn ?? '–'}</td>
      <td className="figure">{bytes(unsentBytes)}</td>
      <td className="figure">{tokens(session.tokens)}</td>
    </tr>
  );
}
