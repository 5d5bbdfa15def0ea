import { useCallback, useState, type ReactNode } from 'react';
import { AdminClient } from './admin.client.js';
import { Board } from './board.js';
import { SignIn } from './sign-in.js';
import type { TokenStorage } from './token.storage.js';

/** Asks for the token, and shows the board to whoever has it. */
export function Console({ storage }: { storage: TokenStorage }): ReactNode {
  const [client, setClient] = useState(() => {
    const token = storage.read();
    return token === undefined ? undefined : new AdminClient(token);
  });
  const [isRefused, setRefused] = useState(false);
  const leave = useCallback(
    (refused: boolean) => {
      storage.forget();
      setClient(undefined);
      setRefused(refused);
    },
    [storage],
  );
  const enter = (token: string): void => {
    storage.write(token);
    setClient(new AdminClient(token));
  };
  return client ? (
    <Board client={client} onLeave={leave} />
  ) : (
    <SignIn isRefused={isRefused} onToken={enter} />
  );
}
