import { useEffect, useEffectEvent, useRef, useSyncExternalStore, type ReactNode } from 'react';
import { MooringError } from 'mooring-client';
import type { ConversationRouter } from './conversation.router.js';
import { wordsOf } from './words.js';

interface Props {
  router: ConversationRouter;
  /** On a narrow screen it lies above the conversation while it is open. */
  isOpen: boolean;
  onClose: () => void;
  onProblem: (words: string) => void;
}

export function ConversationNav({ router, isOpen, onClose, onProblem }: Props): ReactNode {
  const { list } = router;
  const items = useSyncExternalStore(list.subscribe, () => list.items);
  const { name: shown } = useSyncExternalStore(router.subscribe, () => router.shown);
  const close = useRef<HTMLButtonElement>(null);
  const onKey = useEffectEvent(({ key }: KeyboardEvent) => {
    if (key === 'Escape') onClose();
  });
  useEffect(() => {
    if (!isOpen) return;
    close.current?.focus();
    const listener = (event: KeyboardEvent): void => onKey(event);
    addEventListener('keydown', listener);
    return () => removeEventListener('keydown', listener);
  }, [isOpen]);

  const remove = (name: string, title: string): void => {
    if (!confirm(`Delete “${title}” for everyone? It cannot be brought back.`)) return;
    router.remove(name).catch((error: unknown) => {
      onProblem(error instanceof MooringError ? wordsOf(error) : String(error));
    });
  };

  return (
    <>
      <nav className="conversations" data-open={isOpen} aria-label="Conversations">
        <div className="conversations-head">
          <h2>Conversations</h2>
          <button ref={close} type="button" className="quiet close" onClick={onClose}>
            Close
          </button>
        </div>
        {items.length === 0 && <p className="hint">What you talk about is listed here.</p>}
        <ul data-testid="conversations" role="list">
          {items.map(({ name, title }) => (
            <li key={name}>
              <button
                type="button"
                className="conversation"
                aria-current={name === shown ? 'page' : undefined}
                onClick={() => {
                  router.show(name);
                  onClose();
                }}
              >
                {title}
              </button>
              <button
                type="button"
                className="link delete"
                aria-label={`Delete ${title}`}
                onClick={() => remove(name, title)}
              >
                Delete
              </button>
            </li>
          ))}
        </ul>
      </nav>
      {isOpen && <div className="backdrop" onClick={onClose} />}
    </>
  );
}
