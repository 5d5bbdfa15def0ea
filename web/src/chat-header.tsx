import { useState, type ReactNode } from 'react';
import type { AgentSummary } from 'mooring-client';

interface Props {
  connection: string;
  agents: readonly AgentSummary[];
  agent: string | undefined;
  onAgent: (agent: string) => Promise<void>;
  onCut: () => void;
  onNew: () => void;
  onNav: () => void;
}

export function ChatHeader({ connection, agents, agent, onAgent, onCut, onNew, onNav }: Props): ReactNode {
  /** A switch that is underway. */
  const [chosen, setChosen] = useState<string>();
  const choose = async (id: string): Promise<void> => {
    setChosen(id);
    await onAgent(id);
    setChosen(undefined);
  };
  return (
    <header>
      <button
        type="button"
        className="quiet nav-button"
        data-testid="nav-button"
        aria-label="Conversations"
        onClick={onNav}
      >
        ☰
      </button>
      <div className="brand">
        <img src="/icon.svg" alt="" width={24} height={24} />
        <h1>Mooring</h1>
      </div>
      <label className="agent">
        <span className="unseen">Agent</span>
        <select
          data-testid="agent-select"
          disabled={agents.length === 0}
          value={chosen ?? agent ?? ''}
          onChange={({ target }) => void choose(target.value)}
        >
          {agents.map(({ id, name, description }) => (
            <option key={id} value={id} title={description}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <div className="line">
        <span className="connection" data-testid="connection" data-state={connection}>
          {connection}
        </span>
        <button
          type="button"
          className="quiet"
          data-testid="cut"
          title="Drops the connection for about two seconds, also in the middle of an answer"
          disabled={connection !== 'connected'}
          onClick={onCut}
        >
          Cut the connection
        </button>
      </div>
      <button
        type="button"
        className="quiet new"
        data-testid="new"
        aria-label="New conversation"
        onClick={onNew}
      >
        New<span className="wide"> conversation</span>
      </button>
    </header>
  );
}
