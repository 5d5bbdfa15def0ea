import { LIMITS, type SessionEvent, type UIMessageChunk } from '../../protocol.js';
import { isDelta, textOf } from '../coalescer.js';
import type { LogSegment } from './session.tables.js';

/** What an event takes beside its text, in characters of JSON. */
const EVENT_OVERHEAD = 100;

/**
 * Cuts consecutive events into segments. One is read as a whole, and a long replay is read in steps of
 * `LIMITS.replayLength`: with segments of that length a step costs as much as it gives, however long the turn was.
 * @param from the seq before the first event
 * @param sealedAt epoch milliseconds; undefined: their turn goes on
 */
export function segmentsOf(
  from: number,
  events: readonly SessionEvent[],
  sealedAt: number | undefined,
): LogSegment[] {
  const segments: LogSegment[] = [];
  let begin = 0;
  let size = 0;
  const cut = (end: number): void => {
    segments.push({ from: from + begin, to: from + end, sealedAt, events: events.slice(begin, end) });
    begin = end;
    size = 0;
  };
  for (const [index, event] of events.entries()) {
    const added = eventSize(event) + EVENT_OVERHEAD;
    if (index > begin && size + added > LIMITS.replayLength) cut(index);
    size += added;
  }
  if (events.length > begin) cut(events.length);
  return segments;
}

/** In characters: of a delta its text, which is merged with its neighbours'. What is stored may have been damaged. */
export function eventSize(event: SessionEvent): number {
  const chunk: UIMessageChunk | undefined = event.type === 'chunk' ? event.chunk : undefined;
  const text: unknown = chunk && isDelta(chunk) ? textOf(chunk) : undefined;
  return typeof text === 'string' ? text.length : JSON.stringify(event).length;
}
