import { useLayoutEffect, useRef, type ReactNode } from 'react';

interface Props {
  title: string;
  testId: string;
  /** Escape, too. */
  onLeave: () => void;
  children: ReactNode;
}

/** The browser's own: it holds the focus, and gives it back to where it was. */
export function Dialog({ title, testId, onLeave, children }: Props): ReactNode {
  const element = useRef<HTMLDialogElement>(null);
  // Before it is taken out of the page: only then does the browser give the focus back.
  useLayoutEffect(() => {
    const dialog = element.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      data-testid={testId}
      aria-labelledby={`${testId}-title`}
      onCancel={(event) => {
        event.preventDefault();
        onLeave();
      }}
    >
      <h2 id={`${testId}-title`}>{title}</h2>
      {children}
    </dialog>
  );
}
