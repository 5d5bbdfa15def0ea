import { memo, useRef, useState, type ComponentProps, type ReactNode } from 'react';
import ReactMarkdown, { type Components } from 'react-markdown';
import rehypeHighlight from 'rehype-highlight';
import remarkGfm from 'remark-gfm';
import remend from 'remend';
import { CopyButton } from './copy-button.js';
import { splitBlocks, type Block } from './markdown.blocks.js';

/**
 * A model's Markdown. HTML in it is text; links open elsewhere and tell nobody where they were found; images are
 * links, since loading one would tell a stranger that it is read.
 */
export function Markdown({ text, streaming }: { text: string; streaming: boolean }): ReactNode {
  const [split, setSplit] = useState<{ text: string; blocks: readonly Block[] }>({ text: '', blocks: [] });
  const blocks = split.text === text ? split.blocks : splitBlocks(text, split.blocks);
  if (split.text !== text) setSplit({ text, blocks });
  const definitions = blocks.map((block) => block.definitions).join('\n');
  return blocks.map(({ start, source }, index) => (
    <MarkdownBlock
      key={start}
      source={streaming && index === blocks.length - 1 ? remend(source) : source}
      definitions={source.includes('[') ? definitions : ''}
    />
  ));
}

const MarkdownBlock = memo(({ source, definitions }: { source: string; definitions: string }) => (
  <ReactMarkdown remarkPlugins={REMARK} rehypePlugins={REHYPE} components={COMPONENTS}>
    {definitions === '' ? source : `${source}\n\n${definitions}`}
  </ReactMarkdown>
));
MarkdownBlock.displayName = 'MarkdownBlock';

const REMARK = [remarkGfm];
const REHYPE: ComponentProps<typeof ReactMarkdown>['rehypePlugins'] = [[rehypeHighlight, { detect: false }]];

const COMPONENTS: Components = {
  a: ({ href, children }) => <OutwardLink href={href}>{children}</OutwardLink>,
  img: ({ src, alt }) => <OutwardLink href={String(src)}>{alt || 'Image'}</OutwardLink>,
  table: ({ children }) => (
    <div className="table" tabIndex={0} role="region" aria-label="Table">
      <table>{children}</table>
    </div>
  ),
  pre: CodeBlock,
  // The page's own headings stand above those of an answer.
  h1: ({ children }) => <h3>{children}</h3>,
  h2: ({ children }) => <h4>{children}</h4>,
  h3: ({ children }) => <h5>{children}</h5>,
  h4: ({ children }) => <h6>{children}</h6>,
  h5: ({ children }) => <h6>{children}</h6>,
};

function OutwardLink({ href, children }: { href?: string | undefined; children: ReactNode }): ReactNode {
  if (!href) return children;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow ugc">
      {children}
    </a>
  );
}

function CodeBlock({ children }: { children?: ReactNode }): ReactNode {
  const code = useRef<HTMLPreElement>(null);
  return (
    <div className="code">
      <pre ref={code} tabIndex={0}>
        {children}
      </pre>
      <CopyButton label="Copy the code" textOf={() => code.current?.textContent ?? ''} />
    </div>
  );
}
