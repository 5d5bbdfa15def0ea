import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { splitBlocks, type Block } from './markdown.blocks.js';

/** What makes Markdown's blocks begin, go on and end. */
const PIECES = [
  'word', ' ', '\n', '\n\n', '- a', '* b', '1. c', '2', '. ', '> q', '# h', '===', '---', '```', '```ts\n', '~~~',
  '    ', '\t', '| a | b |\n| - | - |\n', '| c |', '[x]: /y', '[x]', '[^1]: note', '[^1]', '<div>', '</div>', '<!--', '-->',
  '$', '\\', '&amp;', 'é', '🚢', '\r\n', '+ ', '- [ ] ', '***', '_',
]; // prettier-ignore

const text = fc.array(fc.constantFrom(...PIECES), { maxLength: 40 });

/** Splits a text as it comes, each time on what the time before gave. */
function grow(pieces: readonly string[]): { text: string; blocks: readonly Block[] } {
  let grown = { text: '', blocks: [] as readonly Block[] };
  for (const piece of pieces) {
    const longer = grown.text + piece;
    grown = { text: longer, blocks: splitBlocks(longer, grown.blocks) };
  }
  return grown;
}

describe('splitBlocks', () => {
  it('[WEB-4] gives for a text that grew what it gives for the whole of it', () => {
    fc.assert(
      fc.property(text, (pieces) => {
        const grown = grow(pieces);
        expect(grown.blocks).toEqual(splitBlocks(grown.text));
      }),
      { numRuns: 3_000 },
    );
  });

  it('[WEB-4] gives blocks that together are the text', () => {
    fc.assert(
      fc.property(text, (pieces) => {
        const whole = pieces.join('');
        const blocks = splitBlocks(whole);
        const joined = blocks.map(({ source }) => source).join('');
        expect(blocks.length === 0 ? '' : whole).toBe(joined);
        if (blocks.length === 0) expect(whole.trim()).toBe('');
      }),
      { numRuns: 1_000 },
    );
  });

  it('[WEB-4] keeps what is above the end as the same objects', () => {
    const pieces = [
      '# One\n',
      '\nsome words',
      '\n\n',
      '- a\n- b\n',
      '\n```\ncode',
      '\n```\n',
      '\nmore',
      ' words',
    ];
    let before: readonly Block[] = [];
    let whole = '';
    for (const piece of pieces) {
      whole += piece;
      const after = splitBlocks(whole, before);
      for (const [index, block] of before.slice(0, -2).entries()) expect(after[index]).toBe(block);
      before = after;
    }
    expect(before.map(({ source }) => source)).toEqual([
      '# One\n\n',
      'some words\n\n',
      '- a\n- b\n\n',
      '```\ncode\n```\n\n',
      'more words',
    ]);
  });

  it('[WEB-4] splits another text from its begin', () => {
    const before = splitBlocks('one\n\ntwo\n\nthree\n\nfour');
    expect(splitBlocks('uno\n\ndue', before)).toEqual(splitBlocks('uno\n\ndue'));
    expect(splitBlocks('one', before)).toEqual(splitBlocks('one'));
  });
});
