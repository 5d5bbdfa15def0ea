import { FORBIDDEN_KEYS, LIMITS, type Issue } from '../protocol.js';

/** NUL, and surrogates that stand alone, cannot be stored everywhere as they are. */
const REPLACEMENT = '\uFFFD';

export type PlainCopy = { ok: true; value: unknown } | { ok: false; issue: Issue };

/**
 * Copies what somebody else wrote (a client, a model, a tool) before anything else reads it, without
 * recursion: a few kilobytes can be nested deep enough to exhaust the stack of whoever emits them again. In
 * the copy NUL and lone surrogates are U+FFFD; depth past the limit, forbidden keys and binary data are
 * refused, with their path.
 */
export function plainCopy(value: unknown): PlainCopy {
  const root: { value?: unknown } = {};
  const open: { from: unknown; into: Record<string, unknown>; key: string; depth: number; path: string }[] = [
    { from: value, into: root, key: 'value', depth: 0, path: '' },
  ];
  for (let next = open.pop(); next; next = open.pop()) {
    const { from, into, key, depth, path } = next;
    if (typeof from === 'string') {
      into[key] = wellFormed(from);
    } else if (typeof from !== 'object' || from === null) {
      into[key] = from;
    } else {
      // The value itself is the first level.
      if (depth >= LIMITS.jsonDepth) return refuse(path, `nested deeper than ${LIMITS.jsonDepth} levels`);
      if (isBinary(from)) return refuse(path, 'binary data is not accepted');
      const copy: Record<string, unknown> = Array.isArray(from) ? ([] as never) : {};
      into[key] = copy;
      // Reversed, since the last one pushed is taken first: keys keep their order.
      for (const name of Object.keys(from).reverse()) {
        const at = path === '' ? name : `${path}.${name}`;
        if (FORBIDDEN_KEYS.has(name)) return refuse(at, 'this key is not accepted');
        const inner = (from as Record<string, unknown>)[name];
        open.push({ from: inner, into: copy, key: wellFormed(name), depth: depth + 1, path: at });
      }
    }
  }
  return { ok: true, value: root.value };
}

export function wellFormed(text: string): string {
  return text.toWellFormed().replaceAll('\0', REPLACEMENT);
}

function isBinary(value: object): boolean {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof Blob;
}

function refuse(path: string, message: string): PlainCopy {
  return { ok: false, issue: { path: path.slice(0, 200), message } };
}
