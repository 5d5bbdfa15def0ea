import type { Root } from 'mdast';
import remarkGfm from 'remark-gfm';
import remarkParse from 'remark-parse';
import { unified } from 'unified';

/** A top-level block of a Markdown text: a paragraph, a list, a table, a fenced code. */
export interface Block {
  /** Its place in the text. */
  readonly start: number;
  readonly source: string;
  /** Its definitions of links (`[name]: address`), which other blocks may use. */
  readonly definitions: string;
}

/** What is appended can change the last block, and join it with the one before (a list goes on: `2` becomes `2.`). */
const UNSETTLED = 2;

const parser = unified().use(remarkParse).use(remarkGfm);

/**
 * Splits a text that grows. Only its end is parsed anew, and a block that stays as it was is the same object: while
 * an answer streams, the cost of a word does not grow with the answer, and nothing above it is drawn again.
 * @param before the blocks of the text so far, if there are any
 */
export function splitBlocks(text: string, before: readonly Block[] = []): readonly Block[] {
  const settled = before.slice(0, -UNSETTLED);
  const isGrown = settled.every(({ start, source }) => text.startsWith(source, start));
  const kept = isGrown ? settled : [];
  const last = kept.at(-1);
  const from = last ? last.start + last.source.length : 0;
  const rest = blocksOf(text.slice(from), from);
  return [...kept, ...rest.map((block) => before.find((old) => isSame(old, block)) ?? block)];
}

/** The blocks together are the text: what stands between two of them belongs to the first. */
function blocksOf(text: string, offset: number): Block[] {
  const { children }: Root = parser.parse(text);
  const starts = children.map(({ position }) => position?.start.offset ?? 0);
  return children.map((node, index) => {
    // Its first line may be indented, which means something; nothing else stands before the first block.
    const start = index === 0 ? 0 : lineStart(text, starts[index] ?? 0);
    const next = starts[index + 1];
    const end = next === undefined ? text.length : lineStart(text, next);
    const source = text.slice(start, end);
    return { start: offset + start, source, definitions: node.type === 'definition' ? source : '' };
  });
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1;
}

function isSame(one: Block, other: Block): boolean {
  return one.start === other.start && one.source === other.source;
}
