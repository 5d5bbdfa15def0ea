import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { LogEntry, OpenedSession, SessionEvent, UIMessage } from '../src/protocol.js';
import { check } from '../stress/check/index.js';
import type { Invariant } from '../stress/check/violation.js';
import type { CallLedger, ClientLedger, ClientRecord, Evidence } from '../stress/ledgers.js';
import { messageMark, tokenMark } from '../stress/words.js';

/*
 * The checker of the stress run is given the ledgers of an honest run, in which it must find nothing, and then the
 * same ledgers with one lie in them, which it must find.
 */

const EPOCH = 'e1';
const SESSION = 1;
const PERSONA = readFileSync(new URL('../agents/alice.md', import.meta.url), 'utf8').replace(
  /^---[^]*?\n---\n/,
  '',
);

const question = (message: number): string => `${messageMark(SESSION, message)} how deep is it?`;
const tokens = (message: number): string[] =>
  [0, 1, 2].map((token) => `${tokenMark(SESSION, message, 0, token)} fathom `);
const answerText = (message: number): string => tokens(message).join('');
const id = (message: number): string => `m-${SESSION}-${message}`;
const turn = (message: number): string => `t-${message}`;

function asked(message: number): UIMessage {
  return {
    id: id(message),
    role: 'user',
    parts: [{ type: 'text', text: question(message) }],
  };
}

function answered(message: number): UIMessage {
  return {
    id: `a-${message}`,
    role: 'assistant',
    metadata: { turnId: turn(message), status: 'completed' },
    parts: [{ type: 'text', text: answerText(message) }],
  };
}

/** All that one turn adds to the log; the first of two has the seqs 1 to 8. */
function logOf(message: number): SessionEvent[] {
  const turnId = turn(message);
  const entries: LogEntry[] = [
    { type: 'message', message: asked(message) },
    { type: 'turn', turnId, messageId: id(message), state: 'running' },
    { type: 'chunk', turnId, chunk: { type: 'text-start', id: 'x' } },
    ...tokens(message).map((delta): LogEntry => ({
      type: 'chunk',
      turnId,
      chunk: { type: 'text-delta', id: 'x', delta },
    })),
    { type: 'chunk', turnId, chunk: { type: 'text-end', id: 'x' } },
    { type: 'turn', turnId, messageId: id(message), state: 'completed' },
  ];
  return entries.map((entry, index) => ({ ...entry, seq: (message - 1) * entries.length + index + 1 }));
}

function opened(seq: number, more: Partial<OpenedSession> = {}): OpenedSession {
  return {
    sessionId: 's1',
    created: false,
    agent: { id: 'alice', name: 'Alice', description: '' },
    position: { epoch: EPOCH, seq },
    recovered: false,
    turns: [],
    messages: [],
    hasMore: false,
    events: [],
    ...more,
  };
}

function call(message: number): CallLedger {
  const before = message === 1 ? [] : [1];
  return {
    call: 0,
    session: SESSION,
    message,
    step: 0,
    at: message * 10_000,
    prompt: [
      { role: 'system', content: PERSONA },
      ...before.flatMap((earlier) => [
        { role: 'user', content: question(earlier) },
        { role: 'assistant', content: answerText(earlier) },
      ]),
      { role: 'user', content: question(message) },
    ],
    sent: tokens(message).map((text, index) => ({ at: message * 10_000 + index, text })),
    finished: 'stop',
    endedAt: message * 10_000 + 9_000,
  };
}

/** Two turns: the client saw the first live and was away during the second, whose events it got when it came back. */
function honest(): Evidence {
  const [first, second] = [logOf(1), logOf(2)];
  const packet = (events: SessionEvent[]) => ({
    sessionId: 's1',
    epoch: EPOCH,
    from: (events[0]?.seq ?? 0) - 1,
    to: events.at(-1)?.seq ?? 0,
    events,
  });
  const accepted = (message: number) => ({
    kind: 'accepted' as const,
    message,
    result: { messageId: id(message), turnId: turn(message), state: 'queued' as const, duplicate: false },
  });
  const records: ClientRecord[] = [
    { at: 1, kind: 'opened', opened: opened(0, { created: true }), tookMs: 1 },
    { at: 2, kind: 'sent', message: 1, copies: 1 },
    { at: 3, ...accepted(1) },
    { at: 4, kind: 'packet', packet: packet(first.slice(0, 4)) },
    { at: 5, kind: 'packet', packet: packet(first.slice(4)) },
    { at: 6, kind: 'sent', message: 2, copies: 1 },
    { at: 7, ...accepted(2) },
    { at: 8, kind: 'cut', how: 'reset' },
    {
      at: 9,
      kind: 'opened',
      asked: { epoch: EPOCH, seq: 8 },
      opened: opened(16, { recovered: true, events: second }),
      tookMs: 1,
    },
    {
      at: 9.5,
      kind: 'trespassed',
      session: 2,
      request: 'session:open',
      ok: false,
      answer: { ok: false, error: { code: 'session_not_found' } },
    },
  ];
  // Ledgers share nothing, so that a lie stands in one of them only.
  const messages = (): UIMessage[] => [asked(1), answered(1), asked(2), answered(2)];
  const send = (message: number) => ({
    at: message,
    do: 'send' as const,
    message,
    text: question(message),
    whenBusy: 'enqueue' as const,
    copies: 1,
  });
  return {
    plan: {
      scenario: 'calm',
      seed: 1,
      store: 'sqlite',
      nodes: 1,
      env: {},
      model: { tokens: [3, 3], paceMs: [1, 1], tokenLength: 0, faultRate: 0, toolRate: 0 },
      phases: [],
      patient: false,
    },
    sessions: [
      {
        number: SESSION,
        sessionId: 's1',
        key: 'k1',
        clients: [{ name: 'c1', transport: 'websocket', acts: [send(1), send(2)] }],
      },
    ],
    clients: [{ name: 'c1', session: SESSION, records }],
    readers: [
      {
        name: 'newcomer',
        session: SESSION,
        records: [{ at: 20, kind: 'opened', opened: opened(16, { messages: messages() }), tookMs: 1 }],
      },
    ],
    calls: [call(1), call(2)],
    stored: [{ session: SESSION, messages: messages() }],
    blows: [],
    health: { deaths: [], leftovers: [], notes: [] },
  };
}

const clientOf = (evidence: Evidence): ClientLedger => evidence.clients[0] as ClientLedger;

function recordOf<Kind extends ClientRecord['kind']>(
  evidence: Evidence,
  kind: Kind,
  which = 0,
): ClientRecord & { kind: Kind } {
  return clientOf(evidence).records.filter((record) => record.kind === kind)[which] as ClientRecord & {
    kind: Kind;
  };
}

function alter<Item>(list: Item[], index: number, change: (item: Item) => void): void {
  const item = list.at(index);
  if (!item) throw new Error(`nothing stands at ${index}`);
  change(item);
}

const setText = (message: UIMessage, text: string): void => {
  message.parts = [{ type: 'text', text }];
};

const LIES: [invariant: Invariant, what: string, lie: (evidence: Evidence) => void][] = [
  [
    'I1',
    'a stored answer lacks a word',
    ({ stored }) =>
      alter(stored[0]?.messages ?? [], 1, (message) => setText(message, tokens(1).slice(0, 2).join(''))),
  ],
  [
    'I1',
    'a client was shown a token twice',
    (evidence) => {
      const { packet } = recordOf(evidence, 'packet', 1);
      alter(packet.events, 0, (event) => {
        if (event.type === 'chunk' && event.chunk.type === 'text-delta')
          event.chunk.delta += event.chunk.delta;
      });
    },
  ],
  [
    'I1',
    'a newcomer is given another answer than is stored',
    ({ readers }) => {
      const record = readers[0]?.records[0];
      if (record?.kind !== 'opened') throw new Error('no newcomer');
      alter(record.opened.messages, 3, (message) => setText(message, tokens(2).slice(1).join('')));
    },
  ],
  [
    'I1',
    'an answer passes for completed that the model never finished',
    ({ calls }) => alter(calls, 1, (each) => delete each.finished),
  ],
  [
    'I1',
    'an interrupted answer lost what the model had sent long before',
    (evidence) => {
      const cut = evidence.stored[0]?.messages ?? [];
      alter(cut, 3, (message) => {
        message.metadata = { ...message.metadata, status: 'interrupted' };
        setText(message, '');
      });
    },
  ],
  [
    'I2',
    'a packet is missing',
    (evidence) => {
      const { records } = clientOf(evidence);
      records.splice(records.indexOf(recordOf(evidence, 'packet', 0)), 1);
    },
  ],
  [
    'I2',
    'a packet came twice',
    (evidence) => {
      const { records } = clientOf(evidence);
      records.splice(
        records.indexOf(recordOf(evidence, 'packet', 0)),
        0,
        structuredClone(recordOf(evidence, 'packet', 0)),
      );
    },
  ],
  [
    'I2',
    'a replay leaves its first event out and says nothing',
    (evidence) => {
      const replay = recordOf(evidence, 'opened', 1).opened;
      replay.events = replay.events.slice(0, -1);
    },
  ],
  [
    'I2',
    'a returning client is not recovered, though nothing was lost',
    (evidence) => {
      const { opened: answer } = recordOf(evidence, 'opened', 1);
      Object.assign(answer, { recovered: false, messages: evidence.stored[0]?.messages, events: [] });
    },
  ],
  [
    'I2',
    'a new epoch begins for no reason',
    ({ readers }) => {
      const record = readers[0]?.records[0];
      if (record?.kind === 'opened') record.opened.position = { epoch: 'e2', seq: 16 };
    },
  ],
  [
    'I3',
    'a turn never ends',
    (evidence) => {
      const { opened: replay } = recordOf(evidence, 'opened', 1);
      replay.events = replay.events.slice(0, -1);
      replay.position = { ...replay.position, seq: 15 };
    },
  ],
  [
    'I3',
    'a turn ends twice',
    (evidence) => {
      const { opened: replay } = recordOf(evidence, 'opened', 1);
      replay.events = [...replay.events, { ...(replay.events.at(-1) as SessionEvent), seq: 17 }];
      replay.position = { ...replay.position, seq: 17 };
    },
  ],
  [
    'I3',
    'something of a turn follows its end',
    (evidence) => {
      const { opened: replay } = recordOf(evidence, 'opened', 1);
      const late: SessionEvent = { type: 'chunk', turnId: turn(1), chunk: { type: 'finish' }, seq: 17 };
      replay.events = [...replay.events, late];
      replay.position = { ...replay.position, seq: 17 };
    },
  ],
  [
    'I3',
    'a turn is cancelled that nobody cancelled',
    (evidence) => {
      const { opened: replay } = recordOf(evidence, 'opened', 1);
      alter(replay.events, -1, (event) => {
        if (event.type === 'turn') event.state = 'cancelled';
      });
      alter(evidence.stored[0]?.messages ?? [], 3, (message) => {
        message.metadata = { ...message.metadata, status: 'cancelled' };
      });
    },
  ],
  [
    'I3',
    'a turn ends otherwise than it is stored',
    ({ stored }) =>
      alter(stored[0]?.messages ?? [], 3, (message) => {
        message.metadata = { ...message.metadata, status: 'interrupted' };
      }),
  ],
  [
    'I4',
    'an acknowledged message is gone',
    ({ stored, calls }) => {
      stored[0]?.messages.splice(2, 2);
      calls.splice(1, 1);
    },
  ],
  [
    'I4',
    'an acknowledged message is stored twice',
    ({ stored }) => void stored[0]?.messages.push(asked(2), answered(2)),
  ],
  [
    'I4',
    'a message is stored with another text',
    ({ stored }) => alter(stored[0]?.messages ?? [], 0, (message) => setText(message, `${question(1)}!`)),
  ],
  [
    'I4',
    'a duplicate is taken for a second message',
    (evidence) => {
      const { records } = clientOf(evidence);
      const again = structuredClone(recordOf(evidence, 'accepted', 1));
      again.result.turnId = 't-3';
      records.splice(records.indexOf(recordOf(evidence, 'accepted', 1)), 0, again);
    },
  ],
  ['I4', 'the model is asked twice for one message', ({ calls }) => void calls.push({ ...call(2), call: 1 })],
  [
    'I4',
    'a send is refused for no reason',
    (evidence) => {
      const error = { code: 'unavailable', message: '', retryable: true } as const;
      clientOf(evidence).records.push({ at: 6.5, kind: 'refused', message: 2, error });
    },
  ],
  [
    'I5',
    'two user messages stand in a row',
    ({ calls }) =>
      alter(calls, 1, (each) => {
        each.prompt = (each.prompt as { role: string }[]).filter(({ role }) => role !== 'assistant');
      }),
  ],
  [
    'I5',
    'the agent has lost her persona',
    ({ calls }) => alter(calls, 1, (each) => void (each.prompt as unknown[]).shift()),
  ],
  [
    'I5',
    'the prompt holds another answer than was stored',
    ({ calls }) =>
      alter(calls, 1, (each) => {
        const [, , answer] = each.prompt as { content: string }[];
        if (answer) answer.content = tokens(1)[0] ?? '';
      }),
  ],
  [
    'I5',
    'the prompt holds a piece of another session',
    ({ calls }) =>
      alter(calls, 1, (each) => {
        const [system] = each.prompt as { content: string }[];
        if (system) system.content += messageMark(2, 1);
      }),
  ],
  [
    'I6',
    'a client is given text of another session',
    (evidence) => {
      const { packet } = recordOf(evidence, 'packet', 1);
      packet.events.push({
        type: 'chunk',
        turnId: turn(1),
        chunk: { type: 'text-delta', id: 'x', delta: tokenMark(2, 1, 0, 0) },
        seq: 9,
      });
    },
  ],
  [
    'I6',
    'another one gets in by a key of its own',
    (evidence) => void Object.assign(recordOf(evidence, 'trespassed'), { ok: true, answer: { ok: true } }),
  ],
  [
    'I6',
    'a refusal tells that a session is there',
    (evidence) =>
      void Object.assign(recordOf(evidence, 'trespassed'), {
        answer: { ok: false, error: { code: 'session_busy' } },
      }),
  ],
  ['I7', 'the process died', ({ health }) => void health.deaths.push('exited with 1')],
  ['I7', 'something is left', ({ health }) => void health.leftovers.push('mooring_turns_running is 1')],
];

describe('the checker of the stress run', () => {
  it('finds nothing in the ledgers of an honest run', () => {
    expect(check(honest())).toEqual([]);
  });

  it.each(LIES)('%s: finds that %s', (invariant, _what, lie) => {
    const evidence = honest();
    lie(evidence);
    expect(new Set(check(evidence).map((violation) => violation.invariant))).toContain(invariant);
  });

  it.each([
    ['of a killed node', 'kill', 'node_lost'],
    ['of a drain', 'stop', 'draining'],
  ] as const)('takes an interruption for granted only because %s', (_why, kind, reason) => {
    const evidence = honest();
    const { opened: replay } = recordOf(evidence, 'opened', 1);
    alter(replay.events, -1, (event) => {
      if (event.type === 'turn') Object.assign(event, { state: 'interrupted', reason });
    });
    alter(evidence.stored[0]?.messages ?? [], 3, (message) => {
      message.metadata = { ...message.metadata, status: 'interrupted' };
    });
    const reader = evidence.readers[0]?.records[0];
    if (reader?.kind === 'opened') reader.opened.messages = evidence.stored[0]?.messages ?? [];
    expect(check(evidence).map((violation) => violation.invariant)).toEqual(['I3']);
    evidence.blows.push({ at: 5, until: 6, kind, detail: '' });
    expect(check(evidence)).toEqual([]);
  });
});
