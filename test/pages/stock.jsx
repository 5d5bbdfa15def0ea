import { useChat } from '@ai-sdk/react';
import { WebSocketChatTransport } from 'ai';
import { createRoot } from 'react-dom/client';

const [way, id] = location.hash.slice(1).split(':');
const options = way === 'websocket' ? { transport: new WebSocketChatTransport({ url: '/api/chat' }) } : {};

function Chat({ messages: stored }) {
  const { messages, sendMessage, status } = useChat({ id, messages: stored, resume: true, ...options });
  return (
    <>
      <p id="state">{status}</p>
      <button onClick={() => sendMessage({ text: 'Tell me' })}>Send</button>
      <ol id="messages">
        {messages.map(({ id: key, role, parts }) => (
          <li key={key}>
            {role}: {parts.map(({ text = '' }) => text).join('')}
          </li>
        ))}
      </ol>
    </>
  );
}

const stored = await fetch(`/api/chat/${id}`);
const { messages } = stored.ok ? await stored.json() : { messages: [] };
createRoot(document.getElementById('root')).render(<Chat messages={messages} />);
