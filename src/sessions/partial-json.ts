import { FORBIDDEN_KEYS } from '../protocol.js';

/** A string, whose closing quote may be missing, a mark, or a number or literal; before it white space. */
const TOKEN =
  /\s*(?:(?<string>"(?:[^"\\]|\\u[\da-fA-F]{4}|\\[^u])*(?<quote>"?))|(?<mark>[{}[\],:])|(?<word>[-+.\w]+))/guy;

const LITERALS = ['true', 'false', 'null'];

/**
 * What a JSON text that may have been cut off says so far: unfinished strings and literals are finished,
 * keys without a value left out, as the AI SDK shows the input of a tool call that streams.
 * Undefined where it says nothing yet, is not JSON, or holds a forbidden key. Linear in its length.
 */
export function parsePartialJson(text: string): unknown {
  try {
    return parse(text);
  } catch {
    try {
      return parse(completed(text));
    } catch {
      return undefined;
    }
  }
}

function parse(text: string): unknown {
  return JSON.parse(text, (key, value: unknown) => {
    if (FORBIDDEN_KEYS.has(key)) throw new SyntaxError('forbidden key');
    return value;
  });
}

/** The text up to the last place where a value may end, and what closes all that is open there. */
function completed(text: string): string {
  /** The open objects and arrays; `inValue`: what comes next is no key. */
  const open: { close: '}' | ']'; inValue: boolean }[] = [];
  let end = 0;
  let tail = '';
  for (const match of text.matchAll(TOKEN)) {
    const { string, quote, mark, word } = match.groups ?? {};
    const next = match.index + match[0].length;
    const inside = open.at(-1);
    if (mark === '{' || mark === '[') {
      open.push(mark === '{' ? { close: '}', inValue: false } : { close: ']', inValue: true });
      end = next;
    } else if (mark === '}' || mark === ']') {
      open.pop();
      end = next;
    } else if (mark) {
      if (inside) inside.inValue = mark === ':' || inside.close === ']';
    } else if (inside?.inValue === false) {
      continue;
    } else if (string) {
      end = next;
      tail = quote ? '' : '"';
    } else if (word) {
      const literal = LITERALS.find((name) => name.startsWith(word));
      const number = word.replace(/\D+$/, '');
      if (literal ?? number) end = next - (literal ? 0 : word.length - number.length);
      tail = literal?.slice(word.length) ?? '';
    }
  }
  const closers = open.map(({ close }) => close).reverse();
  return text.slice(0, end) + tail + closers.join('');
}
