import { z } from 'zod';
import type { SessionEvent, UIMessage, Usage } from '../../protocol.js';
import type { Session } from '../session.js';
import { SessionDamaged } from '../session.store.js';
import type { PinnedAgent } from '../pinned-agent.js';

/*
 * What the JSON of a row must hold to be read. Nothing else was ever written by this program, but files are
 * copied, mended by hand and hit by broken disks: what is not so is refused at the row, by name, before it can
 * surface as an odd error somewhere in a turn. Fields that are not named here are kept as they are.
 */

/** What of a session has no column of its own. */
export type SessionJson = Pick<
  Session,
  'owner' | 'createdAt' | 'nextPosition' | 'running' | 'waiting' | 'closing' | 'metadata' | 'used'
>;

const MESSAGE = z.looseObject({
  id: z.string().min(1),
  role: z.enum(['user', 'assistant', 'system']),
  parts: z.array(z.looseObject({ type: z.string() })),
});

const REQUEST = z.object({ kind: z.enum(['send', 'retry']), id: z.string() });

const USAGE = z.object({
  inputTokens: z.number().nonnegative(),
  outputTokens: z.number().nonnegative(),
  estimated: z.boolean(),
});

const SESSION = z.looseObject({
  owner: z.union([
    z.object({ kind: z.literal('key'), keyHash: z.string() }),
    z.object({ kind: z.literal('subject'), sub: z.string() }),
  ]),
  createdAt: z.iso.datetime(),
  nextPosition: z.int().nonnegative(),
  running: z
    .looseObject({
      turnId: z.string(),
      request: REQUEST,
      messageId: z.string(),
      agent: z.string(),
      startSeq: z.int().positive(),
      position: z.int().nonnegative(),
    })
    .optional(),
  waiting: z.array(z.looseObject({ turnId: z.string(), request: REQUEST, message: MESSAGE })),
  closing: z.enum(['closed', 'expired']).optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  used: USAGE.optional(),
});

/** The columns of a session's row that are read with it. */
const COLUMNS = z.looseObject({
  agent_id: z.string(),
  agent_hash: z.string(),
  epoch: z.string().min(1),
  seq: z.int().nonnegative(),
  updated_at: z.iso.datetime(),
  title: z.string(),
  idle_since: z.int().nonnegative(),
});

const AGENT = z.looseObject({
  hash: z.string(),
  name: z.string(),
  description: z.string(),
  model: z.string().optional(),
  temperature: z.number().optional(),
  tools: z.array(z.string()),
  persona: z.string(),
});

/** @throws SessionDamaged, as the others here */
export function toSessionJson(row: { json: unknown }): SessionJson {
  const { success, error } = COLUMNS.safeParse(row);
  if (!success) throw new SessionDamaged('session', error);
  return checked('session', SESSION, row.json) as SessionJson;
}

/** Of a list, which one broken row must not end: what cannot be read is left out. */
export function toListedUsage(json: unknown): { used?: Usage } {
  if (typeof json !== 'string') return {};
  const { data: used } = USAGE.safeParse(parse('session', json));
  return used ? { used } : {};
}

/** Not by a schema, as {@link toEvents}: a snapshot has fifty of them, a long answer thousands of events. */
export function toMessage(json: unknown): UIMessage {
  const message = parse('message', json);
  if (!isMessage(message)) throw new SessionDamaged('message');
  return message;
}

/**
 * The same of many at once, which costs half as much.
 * @returns undefined where one of them cannot be read
 */
export function toMessages(jsons: readonly string[]): UIMessage[] | undefined {
  let messages: unknown;
  try {
    // No string goes over the end of a line: what one row breaks off, the next cannot go on with.
    messages = JSON.parse(`[${jsons.join(',\n')}]`);
  } catch {
    return undefined;
  }
  const isWhole = Array.isArray(messages) && messages.length === jsons.length && messages.every(isMessage);
  return isWhole ? (messages as UIMessage[]) : undefined;
}

function isMessage(value: unknown): value is UIMessage {
  const message = value as Partial<UIMessage> | null;
  return (
    typeof message?.id === 'string' &&
    (message.role === 'user' || message.role === 'assistant') &&
    Array.isArray(message.parts) &&
    (message.parts as unknown[]).every(
      (part) => typeof (part as { type?: unknown } | null)?.type === 'string',
    )
  );
}

export function toAgent(json: unknown): Omit<PinnedAgent, 'id'> {
  return checked('agent', AGENT, json) as Omit<PinnedAgent, 'id'>;
}

/** Events that follow one another from `from` up to `to`. */
export function toEvents(json: unknown, from: number, to: number): SessionEvent[] {
  const events = parse('segment', json);
  if (!Array.isArray(events) || events.length !== to - from) throw new SessionDamaged('segment');
  (events as unknown[]).forEach((event, index) => {
    const { seq, type } = (event ?? {}) as { seq?: unknown; type?: unknown };
    if (seq !== from + 1 + index || typeof type !== 'string') throw new SessionDamaged('segment');
  });
  return events as SessionEvent[];
}

function checked(row: string, schema: z.ZodType, json: unknown): unknown {
  const { success, data, error } = schema.safeParse(parse(row, json));
  if (!success) throw new SessionDamaged(row, error);
  return data;
}

function parse(row: string, json: unknown): unknown {
  try {
    return JSON.parse(String(json));
  } catch (error) {
    throw new SessionDamaged(row, error);
  }
}
