import { createHash } from 'node:crypto';

export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7';

/** A promise that was broken: which, where, and what was found instead. */
export interface Violation {
  invariant: Invariant;
  where: string;
  what: string;
}

export const INVARIANTS: Record<Invariant, string> = {
  I1: 'the text that a client holds at the end of a turn is what the model sent, or a marked prefix of it',
  I2: 'events are contiguous in (epoch, seq); a gap only where the client is told so',
  I3: 'one terminal event a turn, the same live, returning and stored',
  I4: 'an acknowledged send is stored once and run once',
  I5: 'every prompt is valid and of one session',
  I6: "no byte of one owner's session reaches another",
  I7: 'the process lives, and afterwards everything is as it was before',
};

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

const CONTEXT = 60;

/** Where two texts part, in readable form. */
export function firstDifference(expected: string, actual: string): string {
  let index = 0;
  while (index < expected.length && expected[index] === actual[index]) index += 1;
  const excerpt = (text: string): string =>
    index >= text.length && index > 0 ? `ends after …${JSON.stringify(text.slice(-CONTEXT))}` : JSON.stringify(text.slice(Math.max(0, index - 20), index + CONTEXT)); // prettier-ignore
  return [
    `they part at character ${index} of ${expected.length} and ${actual.length}`,
    `  expected (sha256 ${sha256(expected)}): ${excerpt(expected)}`,
    `  actual   (sha256 ${sha256(actual)}): ${excerpt(actual)}`,
  ].join('\n');
}
