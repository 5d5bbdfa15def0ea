import { getToolName, type DynamicToolUIPart, type ReasoningUIPart, type ToolUIPart } from 'ai';
import type { ReactNode } from 'react';

export function ReasoningView({ part: { state, text } }: { part: ReasoningUIPart }): ReactNode {
  return (
    <details className="aside" data-testid="reasoning">
      <summary>{state === 'streaming' ? 'Thinking…' : 'Thoughts'}</summary>
      <div className="text plain">{text}</div>
    </details>
  );
}

/** A tool's call: what it is given as that is written, and what came of it. */
export function ToolView({ part }: { part: ToolUIPart | DynamicToolUIPart }): ReactNode {
  const { state, input, output, errorText } = part;
  const name = getToolName(part);
  return (
    <details className="aside tool" data-testid="tool" data-state={state}>
      <summary>{summaryOf(state, name)}</summary>
      <Value label="Input" value={input} />
      {errorText === undefined ? (
        <Value label="Output" value={output} />
      ) : (
        <Value label="Error" value={errorText} />
      )}
    </details>
  );
}

function summaryOf(state: ToolUIPart['state'], name: string): ReactNode {
  const tool = <code>{name}</code>;
  if (state === 'output-available') return <>Used {tool}</>;
  if (state === 'output-error') return <>{tool} failed</>;
  return <>Using {tool}…</>;
}

function Value({ label, value }: { label: string; value: unknown }): ReactNode {
  if (value === undefined) return null;
  const text = typeof value === 'string' ? value : JSON.stringify(value, undefined, 2);
  return (
    <figure>
      <figcaption>{label}</figcaption>
      <pre tabIndex={0}>{text}</pre>
    </figure>
  );
}
