import type { ReactNode } from 'react';
import { Dialog } from './dialog.js';

interface Props {
  title: string;
  words: string;
  yes: string;
  onYes: () => void;
  onNo: () => void;
}

/** What is not to be undone is asked for twice; the answer that changes nothing comes first. */
export function ConfirmDialog({ title, words, yes, onYes, onNo }: Props): ReactNode {
  return (
    <Dialog title={title} testId="confirm" onLeave={onNo}>
      <p>{words}</p>
      <div className="answers">
        <button type="button" className="quiet" data-testid="no" onClick={onNo}>
          Leave it as it is
        </button>
        <button type="button" className="danger" data-testid="yes" onClick={onYes}>
          {yes}
        </button>
      </div>
    </Dialog>
  );
}
