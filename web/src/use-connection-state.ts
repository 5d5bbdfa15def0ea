import { useCallback, useEffect, useState, useSyncExternalStore } from 'react';
import type { MooringSession, SessionConnection } from 'mooring-client';

/** How long a connection that was cut on purpose stays away: long enough to see that the text stops. */
const CUT_MS = 2_000;

/**
 * The session's connection, `cut` while it is away on purpose.
 * @param tell says something in passing: here, what became of the time away
 */
export function useConnectionState(
  session: MooringSession,
  drop: (awayMs: number) => void,
  tell: (text: string) => void,
): { state: SessionConnection | 'cut'; cut: () => void } {
  const connection = useSyncExternalStore(session.subscribe, () => session.state.connection);
  const [isCut, setCut] = useState(false);
  useEffect(() => {
    let isAway = false;
    const unsubscribe = session.subscribe(() => {
      isAway ||= session.state.connection === 'reconnecting';
    });
    const forget = session.on('opened', ({ recovered }) => {
      setCut(false);
      // Also a gap is mended by opening anew, of which nobody needs to be told.
      if (isAway)
        tell(recovered ? 'Connected again. Nothing was lost.' : 'Connected again, and loaded anew.');
      isAway = false;
    });
    return () => {
      unsubscribe();
      forget();
    };
  }, [session, tell]);
  const cut = useCallback(() => {
    setCut(true);
    drop(CUT_MS);
  }, [drop]);
  return { state: isCut && connection === 'reconnecting' ? 'cut' : connection, cut };
}
