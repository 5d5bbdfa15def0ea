import type { ReactNode } from 'react';

const SUGGESTIONS = ['Who are you?', 'Tell me a long story about the sea.', 'What time is it in Lisbon?'];

export function EmptyState({ onSend }: { onSend: (text: string) => void }): ReactNode {
  return (
    <section className="empty" data-testid="empty">
      <h2>Conversations that hold</h2>
      <p>
        Mooring keeps this conversation on the server. Ask something, then cut the connection or reload the
        page in the middle of the answer: it goes on without you, and not a word of it is lost.
      </p>
      <div className="suggestions" role="group" aria-label="Suggestions">
        {SUGGESTIONS.map((text) => (
          <button key={text} type="button" className="quiet" onClick={() => onSend(text)}>
            {text}
          </button>
        ))}
      </div>
    </section>
  );
}
