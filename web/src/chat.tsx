import { useCallback, useEffect, useEffectEvent, useMemo, useRef, useState, type ReactNode } from 'react';
import { MooringError, type AgentSummary, type MooringSession } from 'mooring-client';
import { useMooringChat } from 'mooring-client/react';
import { Announcer } from './announcer.js';
import { ChatHeader } from './chat-header.js';
import { Composer } from './composer.js';
import type { ConversationRouter } from './conversation.router.js';
import { EmptyState } from './empty-state.js';
import { entriesOf, wordsOfAnswer, type ChatMessage, type Entry, type EntryAction } from './entries.js';
import { MessageView } from './message-view.js';
import { Notice, useNotice } from './notice.js';
import { useConnectionState } from './use-connection-state.js';
import { useFollow } from './use-follow.js';
import { isTurnError, wordsOf, wordsOfEnd } from './words.js';

interface Props {
  name: string;
  session: MooringSession;
  router: ConversationRouter;
  agents: readonly AgentSummary[];
  /** Drops the connection for so long. */
  drop: (awayMs: number) => void;
  openNav: () => void;
  farewell: string | undefined;
  onFarewell: (words: string | undefined) => void;
}

/** How often at most the words of an answer are drawn. */
const DRAW_MS = 40;
const HISTORY_PAGE = 30;

/** One conversation. */
export function Chat(props: Props): ReactNode {
  const { name, session, router, agents, farewell, onFarewell } = props;
  const chat = useMooringChat<ChatMessage>(session, { throttle: DRAW_MS });
  const { state, messages, queue, sendMessage, regenerate, error } = chat;
  const [notice, setNotice] = useNotice(farewell);
  const connection = useConnectionState(session, props.drop, setNotice);
  const entries = useMemo(
    () => entriesOf({ messages, queue, state }, agents),
    [messages, queue, state, agents],
  );
  const { scroller, content, isAtEnd, follow } = useFollow(entries);
  const [isLoading, setLoading] = useState(false);
  const [stopping, setStopping] = useState<string>();
  const [editing, setEditing] = useState<string>();
  const composer = useRef<HTMLTextAreaElement>(null);
  const running = state.turns.find((turn) => turn.state === 'running');
  const waiting = state.turns.filter((turn) => turn.state === 'queued').length;

  useEffect(() => onFarewell(undefined), [onFarewell]);
  useEffect(() => {
    // The answer, or the message in the queue, tells of the others.
    if (error instanceof MooringError && !isTurnError(error)) setNotice(wordsOf(error), 'error');
  }, [error, setNotice]);
  useSessionFailure(session, (failure) => {
    if (failure.code === 'agent_not_found') router.preferAgent('');
    else if (failure.code !== 'session_not_found') return setNotice(wordsOf(failure), 'error', Infinity);
    else if (session.state.ended) return;
    else onFarewell('The earlier conversation is not there any more, so this is a new one.');
    router.replace();
  });

  /** What a person asked for, or why it was not done. */
  const attempt = useCallback(
    async (work: Promise<unknown>): Promise<void> => {
      try {
        await work;
      } catch (refusal) {
        setNotice(refusal instanceof MooringError ? wordsOf(refusal) : String(refusal), 'error');
      }
    },
    [setNotice],
  );
  const send = (text: string): void => {
    setNotice(undefined);
    follow();
    router.list.use(name, text);
    void attempt(sendMessage({ text }));
    composer.current?.focus();
  };
  const stop = async (byKeyboard: boolean): Promise<void> => {
    setStopping(running?.turnId);
    // It goes away: whoever pressed it by keyboard goes on to write.
    if (byKeyboard) composer.current?.focus();
    await attempt(chat.stop());
    setStopping(undefined);
  };
  const onAction = useCallback(
    ({ id, turnId }: Entry, action: EntryAction): void => {
      if (action === 'edit') setEditing(id);
      else if (action === 'discard') session.discard(id);
      // The queue tells why it is refused again.
      else if (action === 'again') void session.resend(id).catch(() => undefined);
      else if (action === 'retry') void attempt(regenerate());
      else if (action === 'withdraw' && turnId !== undefined) void attempt(session.cancel(turnId));
    },
    [session, regenerate, attempt],
  );
  const onEdited = useCallback(
    (id: string, text: string | undefined): void => {
      setEditing(undefined);
      composer.current?.focus();
      if (text !== undefined) void attempt(sendMessage({ text, messageId: id }));
    },
    [sendMessage, attempt],
  );
  const loadOlder = async (): Promise<void> => {
    setLoading(true);
    await attempt(session.loadOlder(HISTORY_PAGE));
    setLoading(false);
  };

  const isNew = entries.length === 0 && !router.list.items.some((each) => each.name === name);
  const startNew = (): void => {
    if (!isNew || state.ended) router.showNew();
    composer.current?.focus();
  };
  // The session's own, which is as old as `running`: what is drawn may be older.
  const lastAnswer = state.messages.findLast(({ role }) => role === 'assistant');
  const agentName = agents.find(({ id }) => id === state.agent)?.name;

  return (
    <div className="chat" data-link={connection.state}>
      <ChatHeader
        connection={connection.state}
        agents={agents}
        agent={state.agent}
        onAgent={async (agent) => {
          await attempt(session.switchAgent(agent).then(() => router.preferAgent(agent)));
        }}
        onCut={connection.cut}
        onNew={startNew}
        onNav={props.openNav}
      />
      <main ref={scroller} tabIndex={0} aria-label="Conversation">
        <div ref={content} className="column">
          {state.hasMore && (
            <button
              type="button"
              className="quiet older"
              data-testid="older"
              disabled={isLoading}
              onClick={() => void loadOlder()}
            >
              Show earlier messages
            </button>
          )}
          {entries.length === 0 && (isNew || state.connection === 'connected') && (
            <EmptyState onSend={send} />
          )}
          <ol className="messages" data-testid="messages" role="list" aria-label="Messages">
            {entries.map((entry) => (
              <MessageView
                key={entry.id}
                entry={entry}
                isEditing={editing === entry.id}
                onAction={onAction}
                onEdited={onEdited}
              />
            ))}
          </ol>
        </div>
      </main>
      <footer>
        <div className="column">
          <div className="above">
            {!isAtEnd && (
              <button type="button" className="quiet latest" data-testid="latest" onClick={follow}>
                Latest words
              </button>
            )}
            <Notice
              notice={
                state.ended ? { text: `${wordsOfEnd(state.ended)} Start a new one.`, kind: 'info' } : notice
              }
            />
            {running && waiting > 0 && (
              <p className="queue" data-testid="queue">
                {waiting === 1 ? '1 message waits its turn' : `${waiting} messages wait their turn`}
              </p>
            )}
          </div>
          <Composer
            ref={composer}
            placeholder={agentName ? `Write to ${agentName}` : 'Write a message'}
            isEnded={state.ended !== undefined}
            canStop={running !== undefined}
            isStopping={stopping !== undefined && stopping === running?.turnId}
            onSend={send}
            onStop={(byKeyboard) => void stop(byKeyboard)}
          />
        </div>
      </footer>
      <Announcer
        connection={connection.state}
        running={running?.turnId}
        answer={lastAnswer ? wordsOfAnswer(lastAnswer as ChatMessage, state.ends) : ''}
      />
    </div>
  );
}

function useSessionFailure(session: MooringSession, onFailed: (error: MooringError) => void): void {
  const tell = useEffectEvent(onFailed);
  useEffect(() => {
    // It may have failed before we looked.
    if (session.state.error) tell(session.state.error);
    return session.on('failed', (error) => tell(error));
  }, [session]);
}
