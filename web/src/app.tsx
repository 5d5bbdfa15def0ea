import { useEffect, useState, useSyncExternalStore, type ReactNode } from 'react';
import type { AgentSummary, MooringClient } from 'mooring-client';
import { Chat } from './chat.js';
import type { ConversationRouter } from './conversation.router.js';
import { ConversationNav } from './conversation-nav.js';

export function App({ client, router }: { client: MooringClient; router: ConversationRouter }): ReactNode {
  const { name, session } = useSyncExternalStore(router.subscribe, () => router.shown);
  const agents = useAgents(client);
  const [isNavOpen, setNavOpen] = useState(false);
  /** What is to be said in the next conversation about the one before it. */
  const [farewell, setFarewell] = useState<string>();

  return (
    <div className="app">
      <ConversationNav
        router={router}
        isOpen={isNavOpen}
        onClose={() => setNavOpen(false)}
        onProblem={setFarewell}
      />
      <Chat
        key={name}
        name={name}
        session={session}
        router={router}
        agents={agents}
        drop={(awayMs) => client.dropConnection(awayMs)}
        openNav={() => setNavOpen(true)}
        farewell={farewell}
        onFarewell={setFarewell}
      />
    </div>
  );
}

const NONE: readonly AgentSummary[] = [];

function useAgents(client: MooringClient): readonly AgentSummary[] {
  const [agents, setAgents] = useState(NONE);
  useEffect(() => {
    let isLeft = false;
    // It waits for the connection; what refuses that is told by the session.
    void client.agents().then(
      (listed) => !isLeft && setAgents(listed),
      () => undefined,
    );
    return () => {
      isLeft = true;
    };
  }, [client]);
  return agents;
}
