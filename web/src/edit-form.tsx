import { useState, type ReactNode } from 'react';
import { isSubmit } from './composer.js';

/** @param onDone is given the new text; undefined: it stays as it was */
export function EditForm({
  text: before,
  onDone,
}: {
  text: string;
  onDone: (text: string | undefined) => void;
}): ReactNode {
  const [text, setText] = useState(before);
  const save = (): void => {
    if (text.trim() !== '') onDone(text.trim());
  };
  return (
    <form
      className="edit"
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <textarea
        aria-label="Edit the message"
        data-testid="edit"
        autoFocus
        value={text}
        onFocus={({ target }) => target.setSelectionRange(target.value.length, target.value.length)}
        onChange={({ target }) => setText(target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') onDone(undefined);
          else if (isSubmit(event)) {
            event.preventDefault();
            save();
          }
        }}
      />
      <p className="hint">All that came after it is withdrawn, and it is answered anew.</p>
      <button type="button" className="quiet" onClick={() => onDone(undefined)}>
        Cancel
      </button>
      <button type="submit" className="send" disabled={text.trim() === ''}>
        Save
      </button>
    </form>
  );
}
