import { useLayoutEffect, useState, type KeyboardEvent, type ReactNode, type RefObject } from 'react';

/** The contract's greatest length of a message. */
const MAX_LENGTH = 32_000;

interface Props {
  ref: RefObject<HTMLTextAreaElement | null>;
  placeholder: string;
  isEnded: boolean;
  canStop: boolean;
  isStopping: boolean;
  onSend: (text: string) => void;
  onStop: (byKeyboard: boolean) => void;
}

export function Composer(props: Props): ReactNode {
  const { ref, placeholder, isEnded, canStop, isStopping, onSend, onStop } = props;
  const [text, setText] = useState('');
  const canSend = !isEnded && text.trim() !== '';
  const submit = (): void => {
    if (!canSend) return;
    setText('');
    onSend(text.trim());
  };
  useLayoutEffect(() => fitToContent(ref.current), [ref, text]);

  return (
    <>
      <form
        className="composer"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <label htmlFor="composer" className="unseen">
          Message
        </label>
        <textarea
          ref={ref}
          id="composer"
          data-testid="composer"
          rows={1}
          maxLength={MAX_LENGTH}
          placeholder={placeholder}
          aria-describedby="hint"
          enterKeyHint="send"
          autoComplete="off"
          autoFocus
          disabled={isEnded}
          value={text}
          onChange={({ target }) => setText(target.value)}
          onKeyDown={(event) => isSubmit(event) && (event.preventDefault(), submit())}
        />
        {canStop && (
          <button
            type="button"
            className="stop"
            data-testid="stop"
            disabled={isStopping}
            // A keyboard's click counts no clicks.
            onClick={({ detail }) => onStop(detail === 0)}
          >
            Stop
          </button>
        )}
        <button type="submit" className="send" data-testid="send" disabled={!canSend}>
          Send
        </button>
      </form>
      <p id="hint" className="hint">
        Enter sends, Shift + Enter begins a new line.
      </p>
    </>
  );
}

/** The Enter that picks a word of an input method is not meant for us. */
export function isSubmit({ key, shiftKey, nativeEvent }: KeyboardEvent): boolean {
  return key === 'Enter' && !shiftKey && !nativeEvent.isComposing;
}

function fitToContent(area: HTMLTextAreaElement | null): void {
  if (!area || CSS.supports('field-sizing', 'content')) return;
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
}
