import { createHash } from 'node:crypto';
import { isMap, isScalar, LineCounter, parseDocument, type Document } from 'yaml';
import { z } from 'zod';
import type { PinnedAgent } from '../sessions/pinned-agent.js';

/** The same for a file's name and for `DEFAULT_AGENT`. */
const AGENT_ID = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const FENCE = /^---[ \t]*$/;

export interface Problem {
  line: number;
  text: string;
}

export type ParsedAgent = { ok: true; agent: PinnedAgent } | { ok: false; problems: Problem[] };

interface FrontMatter {
  yaml: string;
  /** Of the line with the closing fence, from 1. */
  end: number;
  body: string;
}

/**
 * Reads one agent: front matter between two lines of `---`, then the persona.
 * @param fileName `<id>.md`
 * @param tools the names of the tools that there are
 */
export function parseAgentFile(fileName: string, content: Uint8Array, tools: readonly string[]): ParsedAgent {
  const problems: Problem[] = [];
  const id = fileName.replace(/\.md$/, '');
  if (!AGENT_ID.test(id)) {
    const text = 'the file must be named <id>.md, its id lower case a-z, 0-9, _ and -, at most 64 characters';
    problems.push({ line: 1, text });
  }
  const parts = splitFile(content);
  if ('text' in parts) return { ok: false, problems: [...problems, parts] };
  const fields = readFields(parts.yaml, tools);
  if (fields.ok === false) problems.push(...fields.problems);
  const persona = parts.body.trim();
  if (persona === '')
    problems.push({ line: parts.end, text: 'the persona is missing: it is the text below the front matter' });
  if (!fields.ok || problems.length > 0) return { ok: false, problems };
  const hash = createHash('sha256').update(content).digest('hex');
  return { ok: true, agent: { id, hash, ...fields.value, persona } };
}

function splitFile(content: Uint8Array): FrontMatter | Problem {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch {
    return { line: 1, text: 'the file is not UTF-8 text' };
  }
  const lines = text.split(/\r?\n/);
  if (!FENCE.test(lines[0] ?? ''))
    return { line: 1, text: 'the front matter is missing: the first line must be ---' };
  const end = lines.findIndex((line, index) => index > 0 && FENCE.test(line));
  if (end === -1)
    return { line: 1, text: 'the front matter has no end: a line of --- must follow its fields' };
  // The opening fence stays, as an empty line, so that YAML counts lines as the file does.
  return {
    yaml: ['', ...lines.slice(1, end)].join('\n'),
    end: end + 1,
    body: lines.slice(end + 1).join('\n'),
  };
}

type Fields = z.output<ReturnType<typeof fieldsSchema>>;
type ReadFields = { ok: true; value: Fields } | { ok: false; problems: Problem[] };

function readFields(yaml: string, tools: readonly string[]): ReadFields {
  const lines = new LineCounter();
  const document = parseDocument(yaml, { lineCounter: lines });
  if (document.errors.length > 0)
    return { ok: false, problems: document.errors.map((error) => yamlProblem(error)) };
  if (!isMap(document.contents))
    return {
      ok: false,
      problems: [{ line: 1, text: 'the front matter must be fields such as name: Alice' }],
    };
  let fields: unknown;
  try {
    fields = document.toJS();
  } catch (error) {
    // An alias without its anchor, or aliases that unfold without end.
    return { ok: false, problems: [yamlProblem(error as Error)] };
  }
  const result = fieldsSchema(tools).safeParse(fields);
  if (result.success) return { ok: true, value: result.data };
  return {
    ok: false,
    problems: result.error.issues.flatMap((issue) => fieldProblems(issue, document, lines)),
  };
}

function yamlProblem(error: {
  message: string;
  linePos?: [{ line: number }, unknown?] | undefined;
}): Problem {
  const [what] = error.message.split(/ at line \d+, column|:?\n/);
  return { line: error.linePos?.[0].line ?? 1, text: `the front matter is not YAML: ${what}` };
}

const nonEmpty = (field: string) =>
  z
    .string({ error: mustBe(field, 'text') })
    .trim()
    .min(1, `${field} must not be empty`);

function fieldsSchema(tools: readonly string[]) {
  const known = tools.length > 0 ? `there are ${tools.join(', ')}` : 'there are none';
  const tool = z.string({ error: 'a tool must be named by text' }).refine((name) => tools.includes(name), {
    error: ({ input }) => `there is no tool ${JSON.stringify(input)}: ${known}`,
  });
  return z.strictObject({
    name: nonEmpty('name'),
    description: nonEmpty('description'),
    model: nonEmpty('model').optional(),
    temperature: z
      .number({ error: mustBe('temperature', 'a number from 0 to 2') })
      .min(0, 'temperature must be a number from 0 to 2')
      .max(2, 'temperature must be a number from 0 to 2')
      .optional(),
    tools: z
      .array(tool, { error: mustBe('tools', 'a list of names such as [current_time]') })
      .default([])
      .transform((names) => [...new Set(names)]),
  });
}

function mustBe(field: string, what: string) {
  return ({ input }: { input?: unknown }): string =>
    input === undefined ? `${field} is missing` : `${field} must be ${what}`;
}

function fieldProblems(issue: z.core.$ZodIssue, document: Document, lines: LineCounter): Problem[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      line: keyLine(document, key, lines),
      text: `there is no field ${key}`,
    }));
  return [{ line: valueLine(document, issue.path, lines), text: issue.message }];
}

function keyLine(document: Document, key: string, lines: LineCounter): number {
  if (!isMap(document.contents)) return 1;
  const keys = document.contents.items.map((pair) => pair.key);
  return lineOf(
    keys.find((node) => isScalar(node) && String(node.value) === key),
    lines,
  );
}

/** Of the value, else of its key, else of the opening fence. */
function valueLine(document: Document, path: readonly PropertyKey[], lines: LineCounter): number {
  const node = document.getIn(path, true);
  return isScalar(node) && node.value === null
    ? keyLine(document, String(path[0]), lines)
    : lineOf(node, lines);
}

function lineOf(node: unknown, lines: LineCounter): number {
  const range = (node as { range?: readonly number[] | null } | undefined)?.range;
  return range ? Math.max(1, lines.linePos(range[0] ?? 0).line) : 1;
}
