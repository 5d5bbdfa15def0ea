import { afterEach, describe, expect, it } from '@jest/globals';
import { ChatGateway } from '../src/gateway/chat.gateway.js';
import {
  ID_PATTERN,
  isRetryable,
  LIMITS,
  REQUEST_NAMES,
  type Ack,
  type ErrorCode,
  type RequestName,
} from '../src/protocol.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient } from './support/client.js';
import { fuzz, ProcessWatch, type Dice } from './support/fuzz.js';
import { disposeAll, gateway } from './support/gateway.js';
import { anyValue, mutateValue } from './support/mutation.js';
import { answerNeighbour, Neighbour, SECRET } from './support/neighbour.js';

/** All that one socket may ask at once. */
const REQUESTS = LIMITS.requestBurst;

/** What may be answered, beside `ok`, if the payload has the right shape; `rate_limited` in any case. */
const REFUSALS: Record<RequestName, readonly ErrorCode[]> = {
  'session:open': ['session_not_found', 'too_many_sessions', 'agent_not_found', 'invalid_payload'],
  'session:leave': ['session_not_found'],
  'session:close': ['session_not_found'],
  'session:history': ['session_not_found', 'invalid_payload'],
  'session:list': ['unauthorized'],
  'message:send': [
    'session_not_found',
    'payload_too_large',
    'message_conflict',
    'session_busy',
    'queue_full',
  ],
  'turn:cancel': ['session_not_found', 'turn_not_found'],
  'turn:retry': [
    'session_not_found',
    'payload_too_large',
    'message_conflict',
    'session_busy',
    'invalid_payload',
  ],
  'agent:list': [],
  'agent:switch': ['session_not_found', 'agent_not_found'],
};

interface Known {
  own: { sessionId: string; key: string }[];
  neighbour: { sessionId: string; key: string };
  messageIds: string[];
  turnIds: string[];
}

// ---- Payloads ------------------------------------------------------------------------------------------

/** As a frontend would fill it in, mostly with what exists. */
function validPayload(dice: Dice, name: RequestName, known: Known): Record<string, unknown> {
  const credentials = dice.pick(known.own);
  const sessionId = dice.chance(0.12) ? known.neighbour.sessionId : credentials.sessionId;
  const messageId =
    dice.chance(0.5) && known.messageIds.length > 0 ? dice.pick(known.messageIds) : dice.letters(8);
  known.messageIds.push(messageId);
  const maybe = (fields: Record<string, unknown>): Record<string, unknown> =>
    Object.fromEntries(Object.entries(fields).filter(() => dice.chance(0.5)));
  switch (name) {
    case 'session:open':
      if (dice.chance(0.3))
        return { sessionId: known.neighbour.sessionId, key: foreignKey(dice, known), create: true };
      return {
        ...(dice.chance(0.5) ? credentials : newIds(dice)),
        ...maybe({
          create: true,
          agent: dice.pick(['alice', 'Debbie', 'nobody']),
          position: { epoch: dice.letters(12), seq: dice.int(0, 9) },
          metadata: { page: '/' },
        }),
      };
    case 'session:history':
      return { sessionId, ...maybe({ before: messageId, limit: dice.int(1, 100) }) };
    case 'session:list':
      return maybe({ limit: dice.int(1, 100), cursor: dice.letters(30) });
    case 'message:send':
      return {
        sessionId,
        messageId,
        text: dice.pick(['ahoy', 'again', '錨']),
        ...maybe({ whenBusy: dice.pick(['enqueue', 'reject', 'interrupt']) }),
      };
    case 'turn:cancel':
      return { sessionId, ...maybe({ turnId: dice.pick([...known.turnIds, dice.letters(36)]) }) };
    case 'turn:retry':
      return { sessionId, retryId: dice.pick(['r', dice.letters(5)]), ...maybe({ messageId, text: 'anew' }) };
    case 'agent:list':
      return {};
    case 'agent:switch':
      return { sessionId, agent: dice.pick(['alice', 'debbie', 'PATRICIA', 'nobody']) };
    case 'session:leave':
    case 'session:close':
      return { sessionId };
  }
}

function newIds(dice: Dice): Record<string, unknown> {
  return dice.chance(0.3) ? {} : { sessionId: dice.letters(22), key: dice.letters(43) };
}

/** Never the right one. */
function foreignKey(dice: Dice, { neighbour: { key, sessionId } }: Known): string {
  return dice.pick([
    key.slice(0, -1),
    `${key}A`,
    key.toUpperCase(),
    [...key].reverse().join(''),
    sessionId.padEnd(43, '-'),
    dice.letters(43),
  ]);
}

function deep(dice: Dice): unknown {
  let value: unknown = 'deep';
  const levels = dice.pick([LIMITS.jsonDepth - 3, LIMITS.jsonDepth, 500]);
  for (let level = 0; level < levels; level += 1) value = dice.chance(0.5) ? [value] : { a: value };
  return value;
}

function mutatePayload(dice: Dice, payload: Record<string, unknown>): unknown {
  switch (dice.int(0, 11)) {
    case 0:
      return anyValue(dice);
    case 1:
      return { ...payload, deep: deep(dice) };
    case 2:
      return { ...payload, metadata: deep(dice) };
    case 3:
      return JSON.parse(`{"${dice.pick(['__proto__', 'constructor', 'prototype'])}":{"a":1}}`) as unknown;
    case 4:
      return {
        ...payload,
        metadata: { list: [JSON.parse(`{"${dice.pick(['__proto__', 'constructor', 'prototype'])}":1}`)] },
      };
    case 5:
      return { ...payload, [dice.pick(['text', 'metadata', 'blob'])]: dice.bytes(8) };
    case 6:
      return { ...payload, text: dice.pick(['a\0b', '\ud800', 'x'.repeat(32_000), 'x'.repeat(32_001)]) };
    case 7:
      return { ...payload, metadata: { text: 'x'.repeat(16 * 1024 + dice.int(-20, 20)) } };
    default: {
      // One of its own fields, made absent, null, of a wrong type or of a length at the limits.
      const mutated = mutateValue(dice, payload);
      return dice.chance(0.3) ? mutateValue(dice, mutated) : mutated;
    }
  }
}

// ---- What the contract says of them --------------------------------------------------------------------

/** What each field may be; all are optional here but those of REQUIRED. */
const isId = (value: unknown): boolean =>
  typeof value === 'string' && value !== '' && [...value].length <= LIMITS.idLength;
const isInt = (value: unknown, from: number, to: number): boolean =>
  Number.isInteger(value) && (value as number) >= from && (value as number) <= to;
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): boolean => typeof value === 'string' && value.length >= 1;
const isToken = (from: number, to: number) => (value: unknown) =>
  typeof value === 'string' && value.length >= from && value.length <= to && ID_PATTERN.test(value);
const isPage = (value: unknown): boolean => isInt(value, 1, LIMITS.historyPage);
/** Trimmed, as ids of agents are. */
const isAgent = (value: unknown): boolean => typeof value === 'string' && isId(value.trim().toLowerCase());

const FIELDS: Record<RequestName, Record<string, (value: unknown) => boolean>> = {
  'session:open': {
    sessionId: isToken(LIMITS.sessionIdMinLength, LIMITS.idLength),
    key: isToken(LIMITS.keyMinLength, LIMITS.keyMaxLength),
    create: (value) => typeof value === 'boolean',
    agent: isAgent,
    position: (value) =>
      isRecord(value) && isId(value['epoch']) && isInt(value['seq'], 0, Number.MAX_SAFE_INTEGER),
    metadata: isRecord,
  },
  'session:leave': { sessionId: isId },
  'session:close': { sessionId: isId },
  'session:history': { sessionId: isId, before: isId, limit: isPage },
  'session:list': { limit: isPage, cursor: (value) => isText(value) && (value as string).length <= 512 },
  'message:send': {
    sessionId: isId,
    messageId: isId,
    text: isText,
    whenBusy: (value) => ['enqueue', 'reject', 'interrupt'].includes(value as string),
  },
  'turn:cancel': { sessionId: isId, turnId: isId },
  'turn:retry': { sessionId: isId, retryId: isId, messageId: isId, text: isText },
  'agent:list': {},
  'agent:switch': { sessionId: isId, agent: isAgent },
};
const REQUIRED: Partial<Record<RequestName, string[]>> = {
  'session:leave': ['sessionId'],
  'session:close': ['sessionId'],
  'session:history': ['sessionId'],
  'message:send': ['sessionId', 'messageId', 'text'],
  'turn:cancel': ['sessionId'],
  'turn:retry': ['sessionId', 'retryId'],
  'agent:switch': ['sessionId', 'agent'],
};

/** Whether the contract takes a payload of this shape. An own reading of SPEC.md, not the gateway's. */
function isWellShaped(name: RequestName, payload: unknown): boolean {
  if (!isRecord(payload) || !isPlain(payload, 1)) return false;
  const given = Object.entries(payload).filter(([, value]) => value !== null && value !== undefined);
  const keys = given.map(([key]) => key);
  if (!(REQUIRED[name] ?? []).every((key) => keys.includes(key))) return false;
  return given.every(([key, value]) => FIELDS[name][key]?.(value) ?? true);
}

/** Without binary data, forbidden keys, and within the depth. */
function isPlain(value: unknown, level: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (ArrayBuffer.isView(value) || level > LIMITS.jsonDepth) return false;
  return Object.entries(value).every(
    ([key, inner]) => !['__proto__', 'constructor', 'prototype'].includes(key) && isPlain(inner, level + 1),
  );
}

function judge(name: string, payload: unknown, answer: Ack<unknown>): void {
  expect(JSON.stringify(answer)).not.toContain(SECRET);
  const isKnown = (REQUEST_NAMES as readonly string[]).includes(name);
  if (answer.ok) {
    expect(Object.keys(answer).sort()).toEqual(['data', 'ok']);
    expect(isKnown && isWellShaped(name as RequestName, payload)).toBe(true);
    return;
  }
  const { code, message, retryable, issues, retryAfterMs } = answer.error;
  expect(typeof message).toBe('string');
  expect(retryable).toBe(isRetryable(code));
  expect(retryAfterMs !== undefined).toBe(code === 'rate_limited');
  if (issues)
    for (const issue of issues) expect(typeof issue.path + typeof issue.message).toBe('stringstring');
  if (code === 'rate_limited') return;
  if (!isKnown) return expect(code).toBe('unknown_event');
  const request = name as RequestName;
  if (isWellShaped(request, payload)) {
    expect(REFUSALS[request]).toContain(code);
  } else {
    expect(code).toBe('invalid_payload');
    expect(issues?.length).toBeGreaterThan(0);
  }
}

describe('requests with any payload whatsoever', () => {
  afterEach(disposeAll);

  it('[REQ-1 REQ-3 REQ-4 REQ-6 REQ-8 REQ-10 SES-3 SES-15 LIM-2 LIM-10] are answered once, in words of the contract, and of nobody else', async () => {
    const watch = new ProcessWatch();
    const { url, model, get, client: connect } = await gateway({ MAX_SOCKETS_PER_IP: '100000' });
    model.autoAnswer = (call) => {
      if (call.asked.startsWith(SECRET)) void answerNeighbour(call);
      else call.answer('ahoy');
    };
    const neighbours = [await Neighbour.start(url, 'one'), await Neighbour.start(url, 'two', ['polling'])];
    const neighbour = neighbours[0]?.credentials ?? newCredentials();

    const socketful = async (dice: Dice): Promise<void> => {
      const own = [newCredentials(), newCredentials()];
      const known: Known = { own, neighbour, messageIds: [], turnIds: [] };
      const client = new TestClient(url, {
        session: () => own.map((each) => ({ ...each, create: true })),
        transports: dice.chance(0.1) ? ['polling'] : ['websocket'],
      });
      let received = '';
      client.socket.onAny((...args: unknown[]) => (received += JSON.stringify(args)));
      try {
        for (const _ of own) await client.opened.next();
        const answers = Array.from({ length: REQUESTS }, () => ask(dice, client, known));
        await Promise.all(answers);
        expect(received).not.toContain(SECRET);
        expect(received).not.toContain('"internal"');
      } finally {
        await client.close();
      }
    };
    await fuzz({ quick: 60, whole: 334, atOnce: 8 }, socketful);

    for (const each of neighbours) await each.stop();
    await until(() => get(ChatGateway).sockets === 0, 'the sockets to be gone');
    await until(async () => (await get(SessionStore).census()).attached === 0, 'everyone to be unbound');
    // What its neighbour holds is what it held.
    const back = await connect();
    const { messages } = await back.open(neighbour);
    expect(
      messages.every(({ role, parts }) => role === 'assistant' || JSON.stringify(parts).includes(SECRET)),
    ).toBe(true);
    expect(watch.complaints).toEqual([]);
    watch.stop();
  }, 600_000);
});

/** Sends one request, with an acknowledgement or, sometimes, without, and judges what it is answered. */
async function ask(dice: Dice, client: TestClient, known: Known): Promise<void> {
  const request = dice.pick(REQUEST_NAMES);
  const name = dice.chance(0.03)
    ? dice.pick([
        '',
        'toString',
        '__proto__',
        'session:Open',
        'message:send ',
        'x'.repeat(300),
        'session:events',
      ])
    : request;
  const valid = validPayload(dice, request, known);
  const payload = dice.chance(0.35) ? valid : mutatePayload(dice, valid);
  const args = dice.chance(0.02) ? [] : [payload];
  const arrived = args.length === 0 ? {} : payload;
  const { socket } = client as unknown as { socket: { emit(name: string, ...args: unknown[]): void } };
  if (dice.chance(0.05)) {
    socket.emit(name, ...args);
    return;
  }
  let count = 0;
  const answer = await new Promise<Ack<unknown>>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} ${show(payload)} was not answered`)), 20_000);
    socket.emit(name, ...args, (given: Ack<unknown>) => {
      count += 1;
      clearTimeout(timer);
      resolve(given);
    });
  });
  try {
    judge(name, arrived, answer);
    expect(count).toBe(1);
  } catch (error) {
    throw new Error(`${name} ${show(payload)}: ${show(answer)}: ${String(error)}`, { cause: error });
  }
  const data = answer.ok ? (answer.data as { turnId?: string }) : {};
  if (data.turnId !== undefined) known.turnIds.push(data.turnId);
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'undefined').slice(0, 600);
}
