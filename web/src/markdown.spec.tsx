import { describe, expect, it } from '@jest/globals';
import { renderToStaticMarkup } from 'react-dom/server';
import { Markdown } from './markdown.js';

const ANSWER = `# Tides

The **moon** pulls, the _sun_ pulls \`less\`; see [the almanac](https://example.com/a?b=c&d=1) and ![a chart](https://example.com/x.png).

- one
- two with **bold words**
  - nested

1. first
2. second

| day | height |
| --- | -----: |
| Mon | 1.2 m |

\`\`\`ts
const height: number = 1.2;
if (a < b && c) console.log("<b>no</b>");
\`\`\`

> quoted ~~not~~ words

Where 1 < 2, <kbd>keys</kbd> and 2 * 3 * 4 or snake_case_names stay.

Done, at last.
`;

function html(text: string, streaming = false): string {
  return renderToStaticMarkup(<Markdown text={text} streaming={streaming} />);
}

/** The letters that are seen. A digit may become the number of a list's item, which stands in no text. */
function lettersOf(markup: string): string {
  return markup
    .replace(/<button.*?<\/button>/g, '')
    .replace(/<[^>]*>/g, '')
    .replace(/&\w+;/g, '')
    .replace(/[^A-Za-z]/g, '');
}

describe('Markdown', () => {
  it('[WEB-4] shows what Markdown means: emphasis, lists, tables, highlighted code', () => {
    const shown = html(ANSWER);
    expect(shown).toContain('<strong>moon</strong>');
    expect(shown).toContain('<td style="text-align:right">1.2 m</td>');
    expect(shown).toContain('hljs-keyword');
    expect(shown).toContain('<del>not</del>');
    expect(shown).toContain('<h3 class="h1">Tides</h3>');
  });

  it('[WEB-4] opens links elsewhere, without a referrer, and loads no image', () => {
    const shown = html(ANSWER);
    expect(shown).toContain(
      '<a href="https://example.com/a?b=c&amp;d=1" target="_blank" rel="noopener noreferrer nofollow ugc">the almanac</a>',
    );
    expect(shown).toContain('rel="noopener noreferrer nofollow ugc">a chart</a>');
    expect(shown).not.toContain('<img');
  });

  it.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    'word <b onclick="x()">bold</b> <svg/onload=x()>',
    '<iframe src="https://example.com"></iframe>\n\n<style>* { display: none }</style>',
    '[x](javascript:alert(1)) ![y](javascript:alert(1)) <javascript:alert(1)>',
    '[x](data:text/html;base64,PHNjcmlwdD4=) [y](vbscript:x) [z](JaVaScRiPt:x)',
    '[a]\n\n[a]: javascript:alert(1)',
    '```html\n<script>alert(1)</script>\n```',
    '| <img src=x onerror=x()> |\n| --- |\n| <b>x</b> |',
    '```"><img src=x onerror=x()>\ncode\n```',
  ])('[WEB-4] makes no element and no address of %j that it should not', (text) => {
    for (const streaming of [true, false]) {
      const shown = html(text, streaming);
      expect(shown).not.toMatch(/<(script|img|svg|iframe|style|b|javascript)\b/i);
      expect(shown).not.toMatch(/href="(?!https?:|")/i);
      expect(shown).not.toMatch(/<[^>]*\son\w+=/i);
    }
  });

  it('[WEB-4] takes no text away again while it is written, cut at any character', () => {
    let before = '';
    for (let length = 1; length <= ANSWER.length; length += 1) {
      const now = lettersOf(html(ANSWER.slice(0, length), true));
      expect({ length, now: now.slice(0, before.length) }).toEqual({ length, now: before });
      before = now;
    }
    expect(before).toBe(lettersOf(html(ANSWER)));
  });

  it('[WEB-4] finds a definition that another block holds', () => {
    expect(html('See [the log][1].\n\nAnd more.\n\n[1]: https://example.com/log')).toContain(
      'href="https://example.com/log"',
    );
  });
});
