import { useState, type ReactNode } from 'react';
import type { AdminSessionDetail } from '../../../src/ops/admin.api.js';
import type { UIMessage } from '../../../src/protocol.js';
import type { AdminClient } from './admin.client.js';
import { Dialog } from './dialog.js';
import { bytes, duration, number, since, tokens } from './figures.js';
import type { ShownSession } from './watch.js';

interface Props {
  client: AdminClient;
  shown: ShownSession;
  now: number;
  onClose: (sessionId: string) => Promise<void>;
  onLeave: () => void;
}

export function SessionDialog({ client, shown, now, onClose, onLeave }: Props): ReactNode {
  const { sessionId, detail, isGone } = shown;
  const [step, setStep] = useState<'look' | 'sure' | 'closing'>('look');
  const [messages, setMessages] = useState<readonly UIMessage[]>();
  const [problem, setProblem] = useState('');
  const read = async (): Promise<void> => {
    try {
      setMessages((await client.session(sessionId, true)).messages ?? []);
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  const close = async (): Promise<void> => {
    setStep('closing');
    await onClose(sessionId);
    setStep('look');
  };
  return (
    <Dialog title="Session" testId="detail" onLeave={onLeave}>
      <p className="id" data-testid="detail-id">
        {sessionId}
      </p>
      {isGone && <p data-testid="gone">There is no such session, or not any more.</p>}
      {!isGone && !detail && <p>Loading…</p>}
      {detail && <Facts detail={detail} now={now} />}
      {messages && <Content messages={messages} />}
      {problem !== '' && <p className="bad">{problem}</p>}
      {step === 'look' ? (
        <div className="answers">
          <button type="button" className="quiet" data-testid="back" onClick={onLeave}>
            Back
          </button>
          {detail && !messages && (
            <button type="button" className="quiet" data-testid="read" onClick={() => void read()}>
              Show what was said (is logged)
            </button>
          )}
          {detail && (
            <button type="button" className="danger" data-testid="close" onClick={() => setStep('sure')}>
              Close session…
            </button>
          )}
        </div>
      ) : (
        <div role="group" aria-label="Close this session?" className="sure">
          <p>
            Close it for everyone and for ever? Its open turns end with their text kept until then, and its id
            stays refused.
          </p>
          <div className="answers">
            <button
              type="button"
              className="quiet"
              data-testid="no"
              autoFocus
              onClick={() => setStep('look')}
            >
              Leave it open
            </button>
            <button
              type="button"
              className="danger"
              data-testid="yes"
              disabled={step === 'closing'}
              onClick={() => void close()}
            >
              Close it
            </button>
          </div>
        </div>
      )}
    </Dialog>
  );
}

function Facts({ detail, now }: { detail: AdminSessionDetail; now: number }): ReactNode {
  const { agent, state, owner, createdAt, lastActiveAt, position, unsentBytes, turns, connections } = detail;
  const usage = detail.tokens;
  const facts: [string, ReactNode][] = [
    [
      'State',
      <span key="state" className="state" data-state={state}>
        {state}
      </span>,
    ],
    ['Agent', agent],
    ['Owner', owner.kind === 'subject' ? owner.sub : 'who holds its key'],
    ['Age', since(createdAt, now)],
    ['Last active', `${since(lastActiveAt, now)} ago`],
    ['Events', number(position.seq)],
    ['Unsent', bytes(unsentBytes)],
    [
      'Tokens',
      usage ? `${tokens(usage)} (${number(usage.inputTokens)} in, ${number(usage.outputTokens)} out)` : '0',
    ],
  ];
  return (
    <>
      <dl className="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <h3>Turns</h3>
      {turns.length === 0 && <p className="hint">None runs or waits.</p>}
      <ul>
        {turns.map(({ turnId, state: turnState, runningMs, tokens: used }) => (
          <li key={turnId} data-testid="detail-turn">
            <span className="id">{turnId}</span> {turnState}
            {runningMs !== undefined && ` for ${duration(runningMs)}`}
            {used && `, ${tokens(used)} tokens`}
          </li>
        ))}
      </ul>
      <h3>Sockets</h3>
      {connections.length === 0 && <p className="hint">None is bound.</p>}
      <ul>
        {connections.map((socket, index) => (
          <li key={index} data-testid="detail-socket">
            {socket.state}, {number(socket.behind)} events behind, {bytes(socket.unsentBytes)} unsent
          </li>
        ))}
      </ul>
    </>
  );
}

/** Plain text: what was said is nothing that this page renders. */
function Content({ messages }: { messages: readonly UIMessage[] }): ReactNode {
  return (
    <>
      <h3>What was said</h3>
      {messages.length === 0 && <p className="hint">Nothing yet.</p>}
      <ol className="content" data-testid="content" tabIndex={0} aria-label="What was said">
        {messages.map(({ id, role, parts }) => (
          <li key={id}>
            <strong>{role}</strong>
            <pre>{parts.map(textOf).join('\n')}</pre>
          </li>
        ))}
      </ol>
    </>
  );
}

function textOf(part: UIMessage['parts'][number]): string {
  return 'text' in part && typeof part.text === 'string' ? part.text : JSON.stringify(part);
}
