import { useEffect, useState, type ReactNode } from 'react';

const DONE_MS = 2_000;

/** Where the page may write to the clipboard, which it may at a secure address only. */
export function CopyButton({ label, textOf }: { label: string; textOf: () => string }): ReactNode {
  const [isDone, setDone] = useState(false);
  useEffect(() => {
    if (!isDone) return;
    const timer = setTimeout(() => setDone(false), DONE_MS);
    return () => clearTimeout(timer);
  }, [isDone]);
  const { clipboard } = navigator as Partial<Navigator>;
  if (!clipboard) return null;
  const copy = (): void => {
    void clipboard.writeText(textOf()).then(
      () => setDone(true),
      () => undefined,
    );
  };
  return (
    <button type="button" className="link copy" aria-label={isDone ? 'Copied' : label} onClick={copy}>
      {isDone ? 'Copied' : 'Copy'}
    </button>
  );
}
