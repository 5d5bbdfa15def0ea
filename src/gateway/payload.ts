import { FORBIDDEN_KEYS, LIMITS, type Issue } from '../protocol.js';

/** NUL, and surrogates that stand alone, cannot be stored everywhere as they are. */
const REPLACEMENT = '\uFFFD';

export type CheckedPayload = { ok: true; payload: unknown } | { ok: false; issue: Issue };

/**
 * Checks what a client sent before anything else reads it, without recursion: a packet of a few kilobytes
 * can be nested deep enough to exhaust the stack. Gives a copy in which NUL and lone surrogates are U+FFFD;
 * refuses depth past the limit, forbidden keys, and binary data.
 */
export function checkPayload(payload: unknown): CheckedPayload {
  const root: { value?: unknown } = {};
  const open: { from: unknown; into: Record<string, unknown>; key: string; depth: number; path: string }[] = [
    { from: payload, into: root, key: 'value', depth: 0, path: '' },
  ];
  for (let next = open.pop(); next; next = open.pop()) {
    const { from, into, key, depth, path } = next;
    if (typeof from === 'string') {
      into[key] = wellFormed(from);
    } else if (typeof from !== 'object' || from === null) {
      into[key] = from;
    } else {
      // The payload itself is the first level.
      if (depth >= LIMITS.jsonDepth) return refuse(path, `nested deeper than ${LIMITS.jsonDepth} levels`);
      if (isBinary(from)) return refuse(path, 'binary data is not accepted');
      const copy: Record<string, unknown> = Array.isArray(from) ? ([] as never) : {};
      into[key] = copy;
      for (const name of Object.keys(from)) {
        const at = path === '' ? name : `${path}.${name}`;
        if (FORBIDDEN_KEYS.has(name)) return refuse(at, 'this key is not accepted');
        const value = (from as Record<string, unknown>)[name];
        open.push({ from: value, into: copy, key: wellFormed(name), depth: depth + 1, path: at });
      }
    }
  }
  return { ok: true, payload: root.value };
}

export function wellFormed(text: string): string {
  return text.toWellFormed().replaceAll('\0', REPLACEMENT);
}

function isBinary(value: object): boolean {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof Blob;
}

function refuse(path: string, message: string): CheckedPayload {
  return { ok: false, issue: { path: path.slice(0, 200), message } };
}
