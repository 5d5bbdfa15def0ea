import { useEffect, useEffectEvent, useRef, useState, type ReactNode } from 'react';

interface Told {
  connection: string;
  /** The running turn's id. */
  running: string | undefined;
  answer: string;
}

const SAID_MS = 1_000;

/** Tells those who do not see the page what happened, but not each word. */
export function Announcer(told: Told): ReactNode {
  const { connection, running, answer } = told;
  const [words, setWords] = useState('');
  const before = useRef({ connection, running });

  const tell = useEffectEvent((was: typeof before.current) => {
    if (was.connection !== connection && connection !== 'connecting') setWords(`Connection: ${connection}.`);
    else if (was.running === undefined && running !== undefined) setWords('The answer begins.');
    else if (was.running !== undefined && was.running !== running) setWords(`The answer is there. ${answer}`);
  });
  useEffect(() => {
    const was = before.current;
    before.current = { connection, running };
    tell(was);
  }, [connection, running]);
  useEffect(() => {
    if (words === '') return;
    // Said once: whoever reads or searches the page does not find the answer twice.
    const timer = setTimeout(() => setWords(''), SAID_MS);
    return () => clearTimeout(timer);
  }, [words]);

  return (
    <p className="unseen" aria-live="polite">
      {words}
    </p>
  );
}
