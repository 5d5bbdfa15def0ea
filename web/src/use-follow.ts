import { useCallback, useEffect, useLayoutEffect, useRef, useState, type RefObject } from 'react';
import type { Entry } from './entries.js';

/** Closer than this to its end, in pixels, the list follows what is written. */
const AT_END_PX = 48;

interface Following {
  /** The element that scrolls. */
  scroller: RefObject<HTMLElement | null>;
  /** What is in it. */
  content: RefObject<HTMLDivElement | null>;
  isAtEnd: boolean;
  /** Goes to the end, and stays there while it grows. */
  follow: () => void;
}

/** Keeps the end in view as long as the reader is there, and else what the reader looks at where it is. */
export function useFollow(entries: readonly Entry[]): Following {
  const scroller = useRef<HTMLElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const isFollowing = useRef(true);
  const [isAtEnd, setAtEnd] = useState(true);
  const follow = useCallback(() => {
    isFollowing.current = true;
    setAtEnd(true);
    scroller.current?.scrollTo({ top: scroller.current.scrollHeight, behavior: 'instant' });
  }, []);

  useEffect(() => {
    const [area, inner] = [scroller.current, content.current];
    if (!area || !inner) return;
    const onScroll = (): void => {
      isFollowing.current = area.scrollHeight - area.scrollTop - area.clientHeight < AT_END_PX;
      setAtEnd(isFollowing.current);
    };
    // Also what opens, closes, and turns around.
    const observer = new ResizeObserver(() => (isFollowing.current ? follow() : onScroll()));
    observer.observe(area);
    observer.observe(inner);
    area.addEventListener('scroll', onScroll, { passive: true });
    return () => {
      observer.disconnect();
      area.removeEventListener('scroll', onScroll);
    };
  }, [follow]);

  const first = entries[0]?.id;
  const before = useRef({ first, height: 0 });
  useLayoutEffect(() => {
    const area = scroller.current;
    if (!area) return;
    if (isFollowing.current) area.scrollTop = area.scrollHeight;
    // A page of older messages came above.
    else if (before.current.first !== first) area.scrollTop += area.scrollHeight - before.current.height;
    before.current = { first, height: area.scrollHeight };
  }, [entries, first]);

  return { scroller, content, isAtEnd, follow };
}
