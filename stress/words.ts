import type { Random } from './random.ts';

/** What messages and answers consist of: one to four bytes a character, both directions, joined emoji, quotes. */
const WORDS = [
  'anchor',
  'buoy',
  'Ebbe',
  'été',
  'straße',
  'мачта',
  'ναῦς',
  'ספינה',
  'مرساة',
  '港',
  'ふね',
  '배',
  '🚢',
  '👩‍🚀',
  '🇳🇴',
  '𝒻𝑜𝑔',
  '"quoted"',
  '\\n',
  '{"json":[1]}',
  'data: x',
  '</script>',
  '\u2028',
  'a\nb',
];

export function words(random: Random, count: number): string {
  return Array.from({ length: count }, () => random.pick(WORDS)).join(' ');
}

/**
 * The marks by which text tells whose it is. A message begins with `⟦session.message⟧`, each token of an answer
 * with `⟨session.message.call.token⟩`, so that no text of one session can pass for another's.
 */
export function messageMark(session: number, message: number): string {
  return `⟦${session}.${message}⟧`;
}

export function tokenMark(session: number, message: number, call: number, token: number): string {
  return `⟨${session}.${message}.${call}.${token}⟩`;
}

const MESSAGE_MARK = /⟦(\d+)\.(\d+)⟧/;
const ANY_MARK = /[⟦⟨](\d+)\.\d+/g;

/** Which message of which session a user's text is. */
export function readMark(text: string): { session: number; message: number } | undefined {
  const [, session, message] = MESSAGE_MARK.exec(text) ?? [];
  return session === undefined ? undefined : { session: Number(session), message: Number(message) };
}

/** The first mark in a text that is not of this session, with what stands around it. */
export function foreignMark(text: string, own: number): string | undefined {
  for (const found of text.matchAll(ANY_MARK)) {
    if (Number(found[1]) !== own) return text.slice(Math.max(0, found.index - 20), found.index + 40);
  }
  return undefined;
}
