import { memo, type ReactNode } from 'react';
import { PLACEHOLDER_TEXT } from '../../src/protocol.js';
import { CopyButton } from './copy-button.js';
import { EditForm } from './edit-form.js';
import { textOf, type Entry, type EntryAction } from './entries.js';
import { Markdown } from './markdown.js';
import { ReasoningView, ToolView } from './part-views.js';

interface Props {
  entry: Entry;
  isEditing: boolean;
  onAction: (entry: Entry, action: EntryAction) => void;
  /** @param text undefined: it stays as it was */
  onEdited: (id: string, text: string | undefined) => void;
}

const LABELS: Record<Exclude<EntryAction, 'copy'>, string> = {
  again: 'Send again',
  discard: 'Discard',
  retry: 'Try again',
  withdraw: 'Withdraw',
  edit: 'Edit',
};

/** One message. It is drawn again only where something of it changed. */
export const MessageView = memo(Message, isSame);

function Message({ entry, isEditing, onAction, onEdited }: Props): ReactNode {
  const { id, role, status, parts, author, note, actions } = entry;
  const isWaiting = status === 'streaming' && !speaks(parts);
  return (
    <li
      data-testid="message"
      data-id={id}
      data-role={role}
      data-status={status}
      data-waiting={isWaiting || undefined}
    >
      {author && <h2 className="author">{author}</h2>}
      {isEditing ? (
        <EditForm text={textOf(entry)} onDone={(text) => onEdited(id, text)} />
      ) : (
        <div className="body">{parts.map((part, index) => partOf(part, index, entry))}</div>
      )}
      {/* Also where it is empty: nothing moves when something can be done about it, such as at the end of an answer. */}
      {!isEditing && (
        <p className="note">
          {note && <span>{note}</span>}
          {actions.map((action) =>
            action === 'copy' ? (
              <CopyButton key={action} label="Copy the answer" textOf={() => textOf(entry)} />
            ) : (
              <button
                key={action}
                type="button"
                className={`link ${action}`}
                onClick={() => onAction(entry, action)}
              >
                {LABELS[action]}
              </button>
            ),
          )}
        </p>
      )}
    </li>
  );
}

function partOf(part: Entry['parts'][number], index: number, { role, status }: Entry): ReactNode {
  if (part.type === 'text') {
    if (part.text === '') return null;
    const isPlaceholder = part.text === PLACEHOLDER_TEXT;
    const isPlain = role === 'user' || isPlaceholder;
    const kind = isPlaceholder ? 'plain placeholder' : isPlain ? 'plain' : 'markdown';
    return (
      <div key={index} className={`text ${kind}`} data-testid="text">
        {isPlain ? part.text : <Markdown text={part.text} streaming={status === 'streaming'} />}
      </div>
    );
  }
  if (part.type === 'reasoning') return <ReasoningView key={index} part={part} />;
  if (part.type === 'dynamic-tool' || part.type.startsWith('tool-'))
    return <ToolView key={index} part={part as Parameters<typeof ToolView>[0]['part']} />;
  return null;
}

/** Whether the end of the answer is something that the reader sees grow. */
function speaks(parts: Entry['parts']): boolean {
  const last = parts.at(-1);
  return last?.type === 'text' && last.text !== '';
}

function isSame(one: Props, other: Props): boolean {
  const { entry: before, ...rest } = one;
  const { entry: after, ...others } = other;
  return (
    isShallowEqual(
      { ...before, actions: before.actions.join() },
      { ...after, actions: after.actions.join() },
    ) && isShallowEqual(rest, others)
  );
}

function isShallowEqual<Value extends object>(one: Value, other: Value): boolean {
  const keys = Object.keys(one) as (keyof Value)[];
  return keys.length === Object.keys(other).length && keys.every((key) => one[key] === other[key]);
}
