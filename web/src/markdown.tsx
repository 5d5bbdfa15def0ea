import { memo, useRef, useState, type ComponentProps, type JSX, type ReactNode } from 'react';
import ReactMarkdown, { type Components, type ExtraProps } from 'react-markdown';
import rehypeHighlight from 'rehype-highlight';
import remarkGfm from 'remark-gfm';
import remend, { type RemendOptions } from 'remend';
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
      source={streaming && index === blocks.length - 1 ? remend(source, HALF_WRITTEN) : source}
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

/** HTML is text here, and shown as far as it is written. */
const HALF_WRITTEN: RemendOptions = { htmlTags: false };
const REMARK = [remarkGfm];
const REHYPE: ComponentProps<typeof ReactMarkdown>['rehypePlugins'] = [[rehypeHighlight, { detect: false }]];

const COMPONENTS: Components = {
  a: ({ href, children }) => <OutwardLink href={href}>{children}</OutwardLink>,
  img: ({ src, alt }) => <OutwardLink href={src}>{alt || (src as string)}</OutwardLink>,
  table: ({ children }) => (
    <div className="table" tabIndex={0} role="region" aria-label="Table">
      <table>{children}</table>
    </div>
  ),
  pre: CodeBlock,
  h1: AnswerHeading,
  h2: AnswerHeading,
  h3: AnswerHeading,
  h4: AnswerHeading,
  h5: AnswerHeading,
  h6: AnswerHeading,
};

/** Models begin with any level: whoever goes from heading to heading finds no level left out below the author's. */
function AnswerHeading({ node, children }: JSX.IntrinsicElements['h1'] & ExtraProps): ReactNode {
  return <h3 className={node?.tagName}>{children}</h3>;
}

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
