import { useCallback, useEffect, useState, type ReactNode } from 'react';

export interface NoticeText {
  text: string;
  kind: 'info' | 'error';
}

const NOTICE_MS = 8_000;

type SetNotice = (text: string | undefined, kind?: NoticeText['kind'], forMs?: number) => void;

/** Something that is said in passing. */
export function useNotice(first: string | undefined): [NoticeText | undefined, SetNotice] {
  const [shown, setShown] = useState<(NoticeText & { forMs: number }) | undefined>(
    first === undefined ? undefined : { text: first, kind: 'info', forMs: NOTICE_MS },
  );
  useEffect(() => {
    if (!shown || shown.forMs === Infinity) return;
    const timer = setTimeout(() => setShown(undefined), shown.forMs);
    return () => clearTimeout(timer);
  }, [shown]);
  const setNotice = useCallback<SetNotice>((text, kind = 'info', forMs = NOTICE_MS) => {
    setShown(text === undefined ? undefined : { text, kind, forMs });
  }, []);
  return [shown, setNotice];
}

export function Notice({ notice }: { notice: NoticeText | undefined }): ReactNode {
  return (
    <div role="status" aria-live="polite">
      {notice && (
        <p className="notice" data-testid="notice" data-kind={notice.kind}>
          {notice.text}
        </p>
      )}
    </div>
  );
}
