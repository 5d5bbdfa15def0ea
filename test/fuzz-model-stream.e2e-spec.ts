import { afterEach, describe, expect, it } from '@jest/globals';
import type { SessionEvent, TurnErrorCode, TurnEvent, UIMessage } from '../src/protocol.js';
import { AnswerFold } from '../src/sessions/message.fold.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient, textOf } from './support/client.js';
import { fuzz, ProcessWatch, type Dice } from './support/fuzz.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';
import { Neighbour, neighbourAnswer, SECRET } from './support/neighbour.js';
import { assertValidOpenAiMessages } from './support/prompt.validity.js';
import { startRawVendor, type RawVendor, type VendorRequest, type VendorStep } from './support/raw.vendor.js';
import { mutateValue } from './support/mutation.js';

/** Answers of one session, each of which must leave it fit for the next. */
const TURNS = 10;
/** For a vendor that hangs; a machine that does other things meanwhile must not look like one. */
const PATIENCE = '10s';
const ERROR_CODES: ReadonlySet<TurnErrorCode> = new Set<TurnErrorCode>([
  'provider_error',
  'provider_timeout',
  'provider_rate_limited',
  'provider_unauthorized',
  'content_filter',
  'context_overflow',
  'tool_limit',
  'turn_timeout',
]);

interface Script {
  steps: VendorStep[];
  /** What must be shown, where nothing was done to the stream that a reader may notice. */
  text?: string;
}

interface Chunk {
  id?: unknown;
  object?: unknown;
  created?: unknown;
  model?: unknown;
  choices?: unknown;
  usage?: unknown;
}

const WORDS = [
  '錨',
  'Grüße ',
  '👩‍🚀',
  'harbour ',
  '\n\n',
  'a',
  ' ',
  '\\"',
  '</script>',
  '\u2028',
  'data: ',
  '\t',
];

function text(dice: Dice): string {
  return dice.times(1, 4, () => dice.pick(WORDS)).join('');
}

function chunk(delta: unknown, finish: unknown = null): Chunk {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1700000000,
    model: 'm',
    choices: [{ index: 0, delta, finish_reason: finish }],
  };
}

/** What a vendor that works as it should sends. */
function validChunks(dice: Dice, allowTools: boolean): { chunks: Chunk[]; text: string } {
  const chunks: Chunk[] = [];
  if (dice.chance(0.7)) chunks.push(chunk({ role: 'assistant', content: dice.pick(['', null]) }));
  if (dice.chance(0.2)) dice.times(1, 3, () => chunks.push(chunk({ reasoning_content: text(dice) })));
  let said = '';
  dice.times(0, 8, () => {
    const piece = text(dice);
    said += piece;
    chunks.push(chunk({ content: piece }));
  });
  const hasTools = allowTools && dice.chance(0.35);
  if (hasTools) chunks.push(...toolCalls(dice));
  chunks.push(chunk({}, hasTools ? 'tool_calls' : dice.pick(['stop', 'stop', 'length'])));
  if (dice.chance(0.7))
    chunks.push({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } });
  return { chunks, text: said };
}

/** One to three calls, whose arguments come in pieces, one call's between another's. */
function toolCalls(dice: Dice): Chunk[] {
  const inputs = [
    '{}',
    '{"timezone":"UTC"}',
    '{"timezone":"No/Where"}',
    '{"timezone":7}',
    '{"timezone',
    '[]',
    '',
  ];
  const queues = dice.times(1, 3, (index) => {
    const name = dice.pick(['current_time', 'current_time', 'no_such_tool', 'Ünknown tool', 'constructor']);
    const start = {
      index,
      id: `call_${dice.letters(4)}`,
      type: 'function',
      function: { name, arguments: '' },
    };
    const pieces = dice
      .cuts(Buffer.from(dice.pick(inputs)), 2)
      .map((piece) => ({ index, function: { arguments: piece.toString() } }));
    return [start, ...pieces];
  });
  const chunks: Chunk[] = [];
  while (queues.some((queue) => queue.length > 0)) {
    const next = dice.pick(queues.filter((queue) => queue.length > 0)).shift();
    chunks.push(chunk({ tool_calls: [next] }));
  }
  return chunks;
}

const STRANGE_CHUNKS: readonly ((dice: Dice) => unknown)[] = [
  () => ({ error: { message: 'The server had an error', type: 'server_error', code: null } }),
  (dice) => ({ error: { message: 'Overloaded', code: dice.pick([429, 500, '503', 401, 'content_filter']) } }),
  () => ({ error: 'in plain words' }),
  () => ({ error: null }),
  () => ({ error: { message: 7, code: {} } }),
  () => ({}),
  () => null,
  () => 7,
  () => [],
  () => 'text',
  () => ({ choices: [] }),
  () => ({ choices: null }),
  () => ({ choices: [null] }),
  () => ({ choices: [{}] }),
  () => chunk(null),
  () => chunk({ content: null }),
  () => chunk({ content: 7 }),
  () => chunk({ content: [{ type: 'text', text: 'parts' }] }),
  () => chunk({ content: '\u0000 and \ud800 alone' }),
  () => chunk({ content: '\udc00' }),
  () => chunk({ content: '' }, ''),
  () => chunk({}, 'stop'),
  () => chunk({}, 'no_such_reason'),
  () => chunk({}, 7),
  () => chunk({ content: 'after' }, 'content_filter'),
  () => chunk({ content: 'x'.repeat(200_000) }),
  () => chunk({ reasoning: 'thought', reasoning_content: 'twice' }),
  () => chunk({ tool_calls: [] }),
  () => chunk({ tool_calls: [null] }),
  () => chunk({ tool_calls: [{ index: 0 }] }),
  () => chunk({ tool_calls: [{ index: 7, function: { arguments: '{"a":' } }] }),
  () => chunk({ tool_calls: [{ index: 0, id: 'call_x', function: { name: 'current_time' } }] }),
  () =>
    chunk({ tool_calls: [{ index: 0, id: 'call_x', function: { name: 'current_time', arguments: '{}' } }] }),
  () =>
    chunk({ tool_calls: [{ index: 1, id: 'call_x', function: { name: 'current_time', arguments: '{}' } }] }),
  () => chunk({ tool_calls: [{ index: -1, id: '', function: { name: '', arguments: '{}' } }] }),
  () =>
    chunk({
      tool_calls: [{ index: 1e9, id: 'call_far', function: { name: 'current_time', arguments: '{}' } }],
    }),
  () => chunk({ tool_calls: [{ id: 'call_none', function: { name: 'current_time', arguments: '{}' } }] }),
  () => chunk({ tool_calls: [{ index: 0, id: 7, function: { name: 7, arguments: {} } }] }),
  () =>
    chunk({
      tool_calls: [
        {
          index: 2,
          id: 'call_deep',
          function: { name: 'current_time', arguments: `${'['.repeat(5_000)}${']'.repeat(5_000)}` },
        },
      ],
    }),
  () =>
    chunk({
      tool_calls: [
        {
          index: 3,
          id: 'call_\u0000\ud800',
          function: { name: 'a\u0000\udc00b', arguments: '{"__proto__":{"a":1},"s":"\\ud800\\u0000"}' },
        },
      ],
    }),
  () => ({ choices: [], usage: null }),
  () => ({ choices: [], usage: { prompt_tokens: 'seven', completion_tokens: -1 } }),
  () => ({ choices: [], usage: { prompt_tokens: 1e308, completion_tokens: 1e308, total_tokens: 0 } }),
  () => ({ choices: [], usage: { prompt_tokens: -5, completion_tokens: 0.5 } }),
];

/** Something is done to what the chunks say. */
function mutateChunks(dice: Dice, given: Chunk[]): unknown[] {
  const chunks: unknown[] = [...given];
  dice.times(1, 3, () => {
    const at = dice.int(0, Math.max(0, chunks.length - 1));
    switch (dice.int(0, 6)) {
      case 0:
        return chunks.splice(at, 1);
      case 1:
        return chunks.splice(at, 0, structuredClone(chunks[at]));
      case 2:
        return chunks.splice(dice.int(0, chunks.length), 0, ...chunks.splice(at, 1));
      case 3:
        return chunks.splice(at, 1, mutateValue(dice, chunks[at]));
      case 4:
        return chunks.splice(at, chunks.length);
      default:
        return chunks.splice(dice.int(0, chunks.length), 0, dice.pick(STRANGE_CHUNKS)(dice));
    }
  });
  return chunks;
}

const BROKEN_LINES = [
  'data: {"choices":[{"delta":{"content":"cut',
  'data: NaN',
  'data: {"choices":[{"index":0,"delta":{"content":NaN}}]}',
  'data: undefined',
  'data:',
  'data',
  'data: [DONE]',
  ': a comment',
  'event: error\ndata: {"message":"named"}',
  'event: ping\ndata: {}',
  'id: 7\u0000',
  'retry: 1',
  'retry: never',
  'nonsense: yes',
  '{"error":{"message":"no event at all"}}',
  '<html>502 Bad Gateway</html>',
];

function serialise(dice: Dice, chunks: unknown[], broken: boolean): Buffer {
  const newline = dice.pick(['\n', '\n', '\n', '\r\n', '\r']);
  const lines = chunks.map(
    (each) => `data:${dice.pick([' ', ' ', ''])}${JSON.stringify(each) ?? 'undefined'}`,
  );
  if (dice.chance(0.9)) lines.push('data: [DONE]');
  dice.times(0, 2, () => lines.splice(dice.int(0, lines.length), 0, ': OPENROUTER PROCESSING'));
  if (broken) dice.times(1, 3, () => lines.splice(dice.int(0, lines.length), 0, dice.pick(BROKEN_LINES)));
  const separator = (): string =>
    broken && dice.chance(0.2) ? dice.pick(['\n', '\r\n\n', '\r\r\n', '']) : newline.repeat(2);
  const bom = dice.chance(0.1) ? '\uFEFF' : '';
  return Buffer.from(bom + lines.map((line) => line + separator()).join(''));
}

/** Something is done to the bytes. */
function mutateBytes(dice: Dice, given: Buffer): Buffer {
  let bytes = Buffer.from(given);
  dice.times(1, 4, () => {
    const at = dice.int(0, bytes.length);
    const to = Math.min(bytes.length, at + dice.int(1, 12));
    switch (dice.int(0, 4)) {
      case 0:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
        break;
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), dice.bytes(to - at), bytes.subarray(to)]);
        break;
      case 3:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from([0, 0xff, 0xc0, 0xed, 0xa0, 0x80]),
          bytes.subarray(at),
        ]);
        break;
      default:
        bytes = Buffer.from(bytes.subarray(0, at));
    }
  });
  return bytes;
}

function head(status: string, headers: string[]): Buffer {
  return Buffer.from([`HTTP/1.1 ${status}`, ...headers, '', ''].join('\r\n'));
}

/** The body in chunks of its own sizes, cut anywhere on its way. */
function deliver(dice: Dice, body: Buffer, sound: boolean): VendorStep[] {
  const steps: VendorStep[] = [];
  const chunked = dice.chance(0.6);
  const type = 'content-type: text/event-stream';
  const framed: Buffer[] = [
    head('200 OK', chunked ? [type, 'transfer-encoding: chunked'] : [type, 'connection: close']),
  ];
  for (const piece of dice.cuts(body, 6)) {
    if (piece.length === 0) continue;
    framed.push(
      ...(chunked ? [Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')] : [piece]),
    );
  }
  if (chunked) framed.push(Buffer.from('0\r\n\r\n'));
  let whole = Buffer.concat(framed);
  if (!sound && dice.chance(0.15)) whole = whole.subarray(0, dice.int(0, whole.length));
  for (const piece of dice.cuts(whole, dice.int(0, 6))) {
    steps.push(piece, dice.chance(0.8) ? 'yield' : 'pause');
  }
  if (!chunked) steps.push('end');
  else if (!sound) steps.push(dice.pick(['end', 'reset', 'hang', 'end']));
  return steps;
}

const STATUSES = [
  201, 204, 205, 206, 301, 302, 304, 400, 401, 403, 404, 408, 413, 418, 422, 429, 500, 502, 503, 529, 599,
];
const BODIES = [
  '',
  '{}',
  'null',
  '"text"',
  '{"error":null}',
  '{"error":{"message":"No."}}',
  '{"error":{"message":"Too long.","code":"context_length_exceeded"}}',
  '{"error":{"code":"content_filter","message":"\\ud800\\u0000"}}',
  '{"error":{"message":{"deep":[1]},"type":7}}',
  '[{"error":{"code":429,"message":"as a list"}}]',
  '<html>',
  '{"choices":[{"message":{"content":"not streamed"}}]}',
];

/** Answers that are no stream at all. */
function refusal(dice: Dice): VendorStep[] {
  const sse = 'content-type: text/event-stream';
  const stream = serialise(dice, validChunks(dice, false).chunks, false);
  switch (dice.int(0, 13)) {
    case 0:
      return [dice.bytes(dice.int(1, 200)), dice.pick(['end', 'reset'] as const)];
    case 1:
      return [dice.pick(['end', 'reset'] as const)];
    case 2:
      return ['hang'];
    case 3:
      return [head('200 OK', [sse, 'transfer-encoding: chunked']), 'hang'];
    case 4:
      return [head('200 OK', [sse, 'content-encoding: gzip', 'connection: close']), dice.bytes(64), 'end'];
    case 5:
      return [
        head('200 OK', [
          sse,
          'connection: close',
          ...Array.from({ length: dice.pick([90, 3_000]) }, (_, at) => `x-${at}: ${dice.letters(20)}`),
        ]),
        stream,
        'end',
      ];
    case 6:
      return [
        head('103 Early Hints', ['link: </a>; rel=preload']),
        head('100 Continue', []),
        head('200 OK', [sse, 'connection: close']),
        stream,
        'end',
      ];
    case 7:
      return [
        head('200 OK', [
          dice.pick(['content-type: text/html', 'content-type: application/json', 'x: y']),
          'connection: close',
        ]),
        dice.chance(0.5) ? stream : Buffer.from(dice.pick(BODIES)),
        'end',
      ];
    case 8:
      return [head('200 OK', [sse, `content-length: ${stream.length + dice.int(-20, 20)}`]), stream, 'end'];
    case 9:
      return [
        head('200 OK', [sse, 'transfer-encoding: chunked']),
        Buffer.from('zz\r\nnot a size\r\n'),
        'end',
      ];
    case 10:
      return [head('101 Switching Protocols', ['upgrade: nothing', 'connection: upgrade']), 'end'];
    default: {
      const body = Buffer.from(dice.pick(BODIES));
      const retry = dice.pick([
        'retry-after: 0',
        'retry-after: 0',
        'retry-after-ms: 1',
        'retry-after: 31',
        'retry-after: soon',
        'retry-after: -1',
      ]);
      const headers = [
        `content-length: ${body.length}`,
        'content-type: application/json',
        'connection: close',
        retry,
        'location: /elsewhere',
      ];
      return [head(`${dice.pick(STATUSES)} Whatever`, headers), body, 'end'];
    }
  }
}

/** What one request of the gateway is answered. Later ones of a turn are gentler, so that most turns end by themselves. */
function script(dice: Dice, request: number): Script {
  const { chunks, text: said } = validChunks(dice, request === 0);
  const kind = request === 0 ? dice.int(0, 9) : dice.int(0, 4);
  if (kind < 3) {
    const calls = chunks.some((each) => JSON.stringify(each).includes('tool_calls'));
    return {
      steps: deliver(dice, serialise(dice, chunks, false), true),
      ...(calls || request > 0 ? {} : { text: said }),
    };
  }
  if (kind < 6)
    return { steps: deliver(dice, serialise(dice, mutateChunks(dice, chunks), dice.chance(0.3)), false) };
  if (kind < 9)
    return { steps: deliver(dice, mutateBytes(dice, serialise(dice, chunks, dice.chance(0.3))), false) };
  return { steps: refusal(dice) };
}

/** The vendor of the neighbours works as it should. */
async function* answerNeighbour(asked: string): AsyncGenerator<VendorStep> {
  yield head('200 OK', ['content-type: text/event-stream', 'connection: close']);
  for (const piece of neighbourAnswer(asked)) {
    yield Buffer.from(`data: ${JSON.stringify(chunk({ content: piece }))}\n\n`);
    yield 'pause';
  }
  yield Buffer.from(`data: ${JSON.stringify(chunk({}, 'stop'))}\n\ndata: [DONE]\n\n`);
  yield 'end';
}

describe('a model vendor that sends anything whatsoever', () => {
  afterEach(disposeAll);

  it('[TURN-1 TURN-14 MOD-3 MOD-4 EVT-2 EVT-3 CTX-1] each turn ends once, what was shown is stored, and the next prompt is valid', async () => {
    const watch = new ProcessWatch();
    const turns = new Map<string, { dice: Dice; requests: number; script?: Script }>();
    const badPrompts: string[] = [];
    const answer = ({ asked, messages }: VendorRequest) => {
      try {
        if (messages.length > 0) assertValidOpenAiMessages(messages);
      } catch (error) {
        badPrompts.push(`${String(error)}: ${JSON.stringify(messages).slice(0, 2_000)}`);
      }
      // A redirect that was followed.
      if (messages.length === 0) return [head('404 Not Found', ['content-length: 0'])];
      if (asked.startsWith(SECRET)) return answerNeighbour(asked);
      const turn = turns.get(asked);
      if (!turn) throw new Error(`nobody asked ${asked}`);
      const made = script(turn.dice, turn.requests);
      turn.script = made;
      turn.requests += 1;
      return made.steps;
    };
    const vendor: RawVendor = await startRawVendor(answer);
    onDispose(() => vendor.stop());
    const running = await gateway({
      OPENAI_BASE_URL: vendor.url,
      OPENAI_API_KEY: 'sk-secret-key',
      MODEL: 'm',
      MODEL_FIRST_BYTE_TIMEOUT: PATIENCE,
      MODEL_IDLE_TIMEOUT: PATIENCE,
      TURN_TIMEOUT: '60s',
      MAX_STEPS: '4',
      MAX_SOCKETS_PER_IP: '100000',
    });
    const neighbours = await Promise.all(['one', 'two'].map((name) => Neighbour.start(running.url, name)));

    const conversation = async (dice: Dice, index: number): Promise<void> => {
      const credentials = newCredentials();
      const client = new TestClient(running.url, { session: () => ({ ...credentials, create: true }) });
      try {
        await client.opened.next();
        const shown = new Map<string, UIMessage>();
        for (let turn = 0; turn < TURNS; turn += 1) {
          const asked = `conversation ${index}, turn ${turn}`;
          const told: { dice: Dice; requests: number; script?: Script } = { dice, requests: 0 };
          turns.set(asked, told);
          const { turnId } = await client.send(credentials.sessionId, asked);
          const ended = await terminal(client, turnId).catch((error: Error) => {
            throw new Error(
              `${asked}: ${error.message}\n${told.script?.steps.map(String).join('|').slice(0, 4_000)}`,
            );
          });
          try {
            judge(ended, client.events, told.script?.text);
            shown.set(turnId, fold(client.events, turnId));
          } catch (error) {
            throw new Error(
              `${asked}: ${String(error)}\n${told.script?.steps.map(String).join('|').slice(0, 4_000)}`,
              {
                cause: error,
              },
            );
          }
          turns.delete(asked);
        }
        const { messages } = await client.do('session:history', { sessionId: credentials.sessionId });
        const answers = messages.filter(({ role }) => role === 'assistant');
        expect(answers).toHaveLength(TURNS);
        for (const stored of answers) expect(stored).toEqual(shown.get(stored.metadata?.turnId ?? ''));
        const terminals = client.events.filter(isTerminal).map(({ turnId }) => turnId);
        expect(new Set(terminals).size).toBe(terminals.length);
      } finally {
        await client.close();
      }
    };
    await fuzz({ quick: 24, whole: 1_000, atOnce: 24 }, conversation);

    for (const neighbour of neighbours) await neighbour.stop();
    expect(badPrompts).toEqual([]);
    await until(() => vendor.connections === 0, 'the upstream sockets to be let go');
    expect(watch.complaints).toEqual([]);
    watch.stop();
  }, 600_000);
});

function isTerminal(event: SessionEvent): event is TurnEvent & { seq: number } {
  return event.type === 'turn' && event.state !== 'queued' && event.state !== 'running';
}

async function terminal(client: TestClient, turnId: string): Promise<TurnEvent> {
  const matches = (event: SessionEvent): event is TurnEvent & { seq: number } =>
    isTerminal(event) && event.turnId === turnId;
  return (await client.until(matches)).find(matches) as TurnEvent;
}

function judge(ended: TurnEvent, events: readonly SessionEvent[], text: string | undefined): void {
  const { state, error, turnId } = ended;
  if (state === 'failed') expect(ERROR_CODES).toContain(error?.code);
  else expect(state).toBe('completed');
  expect(JSON.stringify(ended)).not.toContain('sk-secret-key');
  if (text === undefined) return;
  expect({ state, error }).toEqual({ state: 'completed', error: undefined });
  if (text !== '') expect(textOf(events, turnId)).toBe(text);
}

function fold(events: readonly SessionEvent[], turnId: string): UIMessage {
  const answer = new AnswerFold();
  for (const event of events)
    if (event.type === 'chunk' && event.turnId === turnId) answer.apply(event.chunk);
  return answer.message;
}
