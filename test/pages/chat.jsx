import { StrictMode, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { MooringClient } from 'mooring-client';
import { useMooringChat } from 'mooring-client/react';

const client = new MooringClient('http://localhost:3000', { storage: localStorage });
window.client = client;
/** Every status and error that was shown, and every text of the last message, for the test to look at. */
window.seen = { statuses: [], errors: [], texts: [] };

function Chat() {
  const chat = useMooringChat(client.session());
  const { messages, status, error, queue, session, state } = chat;
  window.chat = chat;
  const last = messages.at(-1);
  useEffect(() => {
    if (window.seen.statuses.at(-1) !== status) window.seen.statuses.push(status);
    if (error) window.seen.errors.push(`${error.code}: ${error.message}`);
  }, [status, error]);
  useEffect(() => {
    if (last?.role === 'assistant') window.seen.texts.push(textOf(last));
  }, [last]);
  return (
    <>
      <p id="state">
        {state.connection} {status} {error?.code ?? 'no error'}
      </p>
      <ol id="messages">
        {messages.map((message) => (
          <li key={message.id}>
            {message.role} {message.metadata?.status ?? '-'}: {textOf(message)}
          </li>
        ))}
      </ol>
      <ol id="queue">
        {queue.map(({ id, text, state: now }) => (
          <li key={id}>
            {now}: {text}
          </li>
        ))}
      </ol>
      {state.hasMore && <button onClick={() => session.loadOlder(2)}>Older</button>}
    </>
  );
}

function textOf({ parts }) {
  return parts.map(({ text = '' }) => text).join('');
}

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <Chat />
  </StrictMode>,
);
