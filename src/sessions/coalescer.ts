import type { SessionEvent, UIMessageChunk } from '../protocol.js';

/** A chunk that lengthens a part which an earlier chunk opened. */
export type DeltaChunk = Extract<
  UIMessageChunk,
  { type: 'text-delta' | 'reasoning-delta' | 'tool-input-delta' }
>;

export function isDelta(chunk: UIMessageChunk): chunk is DeltaChunk {
  return chunk.type === 'text-delta' || chunk.type === 'reasoning-delta' || chunk.type === 'tool-input-delta';
}

/**
 * Merges consecutive deltas of one part of one turn's answer; a merged event carries the last one's `seq`.
 * All else stands as it was, and the input is not changed. Live packets, replays and clients merge alike:
 * folding the result gives what folding the input gives.
 */
export function mergeEvents(events: readonly SessionEvent[]): SessionEvent[] {
  return mergeRuns(
    events,
    (event) => (event.type === 'chunk' ? event.chunk : undefined),
    (last, chunk) => (last.type === 'chunk' ? { ...last, chunk } : last),
    (a, b) => a.type === 'chunk' && b.type === 'chunk' && a.turnId === b.turnId,
  );
}

/** As {@link mergeEvents}, for the bare chunks of one turn. */
export function mergeChunks(chunks: readonly UIMessageChunk[]): UIMessageChunk[] {
  return mergeRuns(
    chunks,
    (chunk) => chunk,
    (_last, chunk) => chunk,
    () => true,
  );
}

function mergeRuns<Item>(
  items: readonly Item[],
  chunkOf: (item: Item) => UIMessageChunk | undefined,
  withChunk: (last: Item, chunk: DeltaChunk) => Item,
  ofOneTurn: (a: Item, b: Item) => boolean,
): Item[] {
  const merged: Item[] = [];
  for (let start = 0; start < items.length;) {
    const first = items[start] as Item;
    const head = chunkOf(first);
    let end = start + 1;
    if (head && isDelta(head)) {
      // Pieces are joined once, at the end of the run: a long answer costs its length, not its square.
      const pieces = [textOf(head)];
      for (; end < items.length; end += 1) {
        const item = items[end] as Item;
        const chunk = chunkOf(item);
        if (!chunk || !isDelta(chunk) || !ofOnePart(head, chunk) || !ofOneTurn(first, item)) break;
        pieces.push(textOf(chunk));
      }
      if (end > start + 1) merged.push(withChunk(items[end - 1] as Item, withText(head, pieces.join(''))));
    }
    if (end === start + 1) merged.push(first);
    start = end;
  }
  return merged;
}

function ofOnePart(a: DeltaChunk, b: DeltaChunk): boolean {
  return a.type === b.type && partOf(a) === partOf(b);
}

function partOf(delta: DeltaChunk): string {
  return delta.type === 'tool-input-delta' ? delta.toolCallId : delta.id;
}

/** What a delta adds to its part. */
export function textOf(delta: DeltaChunk): string {
  return delta.type === 'tool-input-delta' ? delta.inputTextDelta : delta.delta;
}

function withText(delta: DeltaChunk, text: string): DeltaChunk {
  return delta.type === 'tool-input-delta' ? { ...delta, inputTextDelta: text } : { ...delta, delta: text };
}
