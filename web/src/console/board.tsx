import { useEffect, useState, useSyncExternalStore, type ReactNode } from 'react';
import type { AdminClient } from './admin.client.js';
import { Charts } from './charts.js';
import { ConfirmDialog } from './confirm-dialog.js';
import { Figures } from './figures-view.js';
import { SessionDialog } from './session-dialog.js';
import { SessionsTable } from './sessions-table.js';
import { Watch } from './watch.js';

interface Props {
  client: AdminClient;
  onLeave: (isRefused: boolean) => void;
}

export function Board({ client, onLeave }: Props): ReactNode {
  const [watch] = useState(() => new Watch(client));
  const state = useSyncExternalStore(watch.subscribe, () => watch.state);
  const [isAsking, setAsking] = useState(false);
  const [notice, setNotice] = useState('');
  const { link, stats, samples, shown } = state;

  useEffect(() => {
    watch.start();
    return () => watch.stop();
  }, [watch]);
  useEffect(() => {
    if (link === 'refused') onLeave(true);
  }, [link, onLeave]);

  const drain = async (): Promise<void> => {
    setAsking(false);
    await client.drain().catch((error: Error) => setNotice(error.message));
    await watch.look();
  };
  const close = async (sessionId: string): Promise<void> => {
    try {
      await client.close(sessionId);
      setNotice(`The session ${sessionId} is closed.`);
      watch.show(undefined);
    } catch (error) {
      setNotice(`The session could not be closed: ${(error as Error).message}`);
    }
    await watch.look();
  };

  const isDraining = stats?.node.draining ?? false;
  return (
    <>
      <header>
        <div className="brand">
          <img src="/icon.svg" alt="" width={24} height={24} />
          <h1>Mooring console</h1>
        </div>
        <span className="link-state" data-testid="link" data-state={link}>
          {LINK[link]}
        </span>
        <div className="actions">
          <button
            type="button"
            className="quiet"
            data-testid="drain"
            disabled={link !== 'live' || isDraining}
            onClick={() => setAsking(true)}
          >
            Drain…
          </button>
          <button type="button" className="quiet" data-testid="sign-out" onClick={() => onLeave(false)}>
            Sign out
          </button>
        </div>
      </header>
      <div role="status" aria-live="polite">
        {link === 'away' && (
          <p className="notice" data-testid="away">
            The gateway does not answer. What is shown is what was last known; it is asked again every two
            seconds.
          </p>
        )}
        {link !== 'away' && isDraining && (
          <p className="notice" data-testid="draining">
            This node is draining: it takes no new turns, running ones finish, and then the process ends.
          </p>
        )}
        {notice !== '' && (
          <p className="notice" data-testid="notice">
            {notice}{' '}
            <button type="button" className="link" onClick={() => setNotice('')}>
              Dismiss
            </button>
          </p>
        )}
      </div>
      <main aria-busy={link === 'connecting'}>
        {stats && <Figures stats={stats} />}
        <Charts samples={samples} />
        <SessionsTable
          watch={watch}
          state={state}
          now={stats?.at ?? 0}
          onShow={(sessionId) => watch.show(sessionId)}
        />
      </main>
      {shown && (
        <SessionDialog
          key={shown.sessionId}
          client={client}
          shown={shown}
          now={stats?.at ?? 0}
          onClose={close}
          onLeave={() => watch.show(undefined)}
        />
      )}
      {isAsking && (
        <ConfirmDialog
          title="Drain this node?"
          words="It does what SIGTERM does: clients are told to come back elsewhere, no new turn begins, running ones finish or are ended with their text kept, and the process ends."
          yes="Drain it"
          onYes={() => void drain()}
          onNo={() => setAsking(false)}
        />
      )}
    </>
  );
}

const LINK = { connecting: 'connecting', live: 'live', away: 'no answer', refused: 'refused' } as const;
