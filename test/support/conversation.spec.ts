import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type {
  InterruptReason,
  LogEntry,
  OpenedSession,
  SessionEvent,
  UIMessage,
  UIMessageChunk,
} from '../../src/protocol.js';
import { mergeEvents } from '../../src/sessions/coalescer.js';
import { AnswerFold, closingChunks } from '../../src/sessions/message.fold.js';
import { Conversation } from '../../client/src/conversation.js';
import type { Command } from '../../src/sessions/session.command.js';
import {
  isBusy,
  openTurns,
  type Change,
  type Ending,
  type RequestRecord,
  type Session,
} from '../../src/sessions/session.js';
import { beginTurn, decide, endTurn, extendTurn } from '../../src/sessions/session.rules.js';
import { applyEvents, applyOpened, EMPTY_CONVERSATION, type ConversationView } from './conversation.js';

// ---- A server that follows the session's rules, and keeps the transcript apart from the log ---------------

const AGENT = {
  id: 'alice',
  hash: 'h',
  name: 'Alice',
  description: '',
  tools: [],
  persona: 'You are Alice.',
};

/** The same id in every step, as some vendors have it. */
const CALL: UIMessageChunk[] = [
  { type: 'tool-input-start', toolCallId: 'call-0', toolName: 'clock' },
  { type: 'tool-input-available', toolCallId: 'call-0', toolName: 'clock', input: {} },
  { type: 'tool-output-available', toolCallId: 'call-0', output: '12:00' },
];

type Action =
  | { do: 'send'; whenBusy: 'enqueue' | 'interrupt' }
  | { do: 'retry'; nth?: number; text?: string }
  | { do: 'cancel'; nth?: number }
  | { do: 'end-waiting' }
  | { do: 'close' }
  | { do: 'begin' }
  | { do: 'speak'; words: string[]; call: boolean }
  | { do: 'end'; ending: Ending };

class Server {
  session: Session = {
    sessionId: 's1',
    owner: { kind: 'key', keyHash: 'k' },
    agent: AGENT,
    epoch: 'e1',
    seq: 0,
    createdAt: '',
    updatedAt: '',
    title: '',
    nextPosition: 0,
    waiting: [],
  };
  readonly log: SessionEvent[] = [];
  readonly #placed = new Map<number, UIMessage>();
  readonly #requests: RequestRecord[] = [];
  #answer = new AnswerFold();
  #ids = 0;

  act(action: Action): void {
    switch (action.do) {
      case 'send': {
        const messageId = this.#newId();
        const { whenBusy } = action;
        const common = { messageId, text: `text of ${messageId}`, digest: messageId, turnId: this.#newId() };
        this.#decide({ kind: 'send', ...common, whenBusy, admit: true });
        break;
      }
      case 'retry': {
        const users = this.begun.filter(({ role }) => role === 'user');
        const messageId = action.nth === undefined ? undefined : users[action.nth % users.length]?.id;
        const common = { retryId: this.#newId(), digest: '', turnId: this.#newId() };
        this.#decide({ kind: 'retry', ...common, messageId, text: action.text, admit: true });
        break;
      }
      case 'cancel': {
        const { waiting } = this.session;
        const turnId = action.nth === undefined ? undefined : waiting[action.nth % waiting.length]?.turnId;
        this.#decide({ kind: 'cancel', turnId });
        break;
      }
      case 'end-waiting':
        this.#decide({ kind: 'end-waiting', reason: 'detached' });
        break;
      case 'close':
        this.#decide({ kind: 'close', state: 'closed' });
        break;
      case 'begin': {
        const change = beginTurn(this.session, '');
        if (!change) break;
        this.#take(change);
        this.#answer = new AnswerFold();
        const { turnId = '', agent } = this.session.running ?? {};
        this.#append([{ type: 'start', messageId: this.#newId(), messageMetadata: { turnId, agent } }]);
        break;
      }
      case 'speak': {
        const id = this.#newId();
        const spoken: UIMessageChunk[] = action.words.map((delta) => ({ type: 'text-delta', id, delta }));
        const step: UIMessageChunk[] = [{ type: 'start-step' }, { type: 'text-start', id }, ...spoken];
        this.#append(action.call ? [...step, { type: 'text-end', id }, ...CALL] : step);
        break;
      }
      case 'end':
        this.#end(action.ending);
        break;
    }
  }

  /** The stored messages whose turns began or ended. */
  get begun(): UIMessage[] {
    return [...this.#placed].sort(([a], [b]) => a - b).map(([, message]) => message);
  }

  /** What a client is given that has no position. */
  snapshot(): OpenedSession {
    const { session } = this;
    const waiting = session.waiting.map(({ message }) => message);
    const queued = session.waiting.map(({ turnId, message }) => ({
      type: 'turn' as const,
      turnId,
      messageId: message.id,
      state: 'queued' as const,
      seq: session.seq,
    }));
    const { turnId, startSeq = Infinity } = session.running ?? {};
    const running = this.log.filter(
      (event) => event.seq >= startSeq && 'turnId' in event && event.turnId === turnId,
    );
    return {
      sessionId: session.sessionId,
      created: false,
      agent: AGENT,
      position: { epoch: session.epoch, seq: session.seq },
      recovered: false,
      turns: openTurns(session),
      messages: [...this.begun, ...waiting],
      hasMore: false,
      events: [...queued, ...mergeEvents(running)],
    };
  }

  #decide(command: Command): void {
    const { outcome, change } = decide(this.session, command, {
      now: '',
      newId: () => this.#newId(),
      request: ({ kind, id }) =>
        this.#requests.find(({ request }) => request.kind === kind && request.id === id),
      turn: (turnId) => this.#requests.find((known) => known.turnId === turnId),
      message: (id) => this.#find((message) => message.id === id),
      messageAt: (position) => this.#find((_message, at) => at === position),
      tokensOf: () => 0,
    });
    if (change) this.#take(change);
    if (outcome.kind === 'accepted' && outcome.interrupts)
      this.#end({ state: 'interrupted', reason: 'message' });
    if (outcome.kind === 'running') this.#end({ state: 'cancelled' });
    if (outcome.kind === 'closing') this.#end({ state: 'interrupted', reason: 'closed' });
  }

  #append(chunks: UIMessageChunk[]): void {
    const { running } = this.session;
    if (!running) return;
    for (const chunk of chunks) this.#answer.apply(chunk);
    this.#take(extendTurn(this.session, this.#entries(chunks, running.turnId)));
  }

  #end(ending: Ending): void {
    const { running } = this.session;
    if (!running) return;
    const { turnId, agent } = running;
    const chunks: UIMessageChunk[] = [
      ...closingChunks(this.#answer, { reason: ending.state }),
      { type: 'message-metadata', messageMetadata: { turnId, agent, status: ending.state } },
      ending.state === 'completed' ? { type: 'finish', finishReason: 'stop' } : { type: 'abort' },
    ];
    for (const chunk of chunks) this.#answer.apply(chunk);
    const end = { ending, answer: structuredClone(this.#answer.message) };
    this.#take(endTurn(this.session, running, this.#entries(chunks, turnId), end, ''));
  }

  #entries(chunks: UIMessageChunk[], turnId: string): LogEntry[] {
    return chunks.map((chunk) => ({ type: 'chunk', turnId, chunk }));
  }

  #take(change: Change): void {
    let { seq } = this.session;
    for (const entry of change.entries) this.log.push({ ...entry, seq: (seq += 1) });
    expect(change.session.seq).toBe(seq);
    this.session = change.session;
    const { withdrawFrom = Infinity } = change;
    for (const position of [...this.#placed.keys()])
      if (position >= withdrawFrom) this.#placed.delete(position);
    for (const { position, message } of change.messages ?? []) this.#placed.set(position, message);
    if (change.request) this.#requests.push(change.request);
    for (const { turnId, state } of change.settled ?? []) {
      const known = this.#requests.find((each) => each.turnId === turnId);
      if (known) known.state = state;
    }
  }

  #find(matches: (message: UIMessage, position: number) => boolean) {
    const found = [...this.#placed].find(([position, message]) => matches(message, position));
    return found && { position: found[0], message: found[1] };
  }

  #newId(): string {
    return `id-${(this.#ids += 1)}`;
  }
}

const reason = fc.constantFrom<InterruptReason>('message', 'detached', 'node_lost', 'draining');
const ending: fc.Arbitrary<Ending> = fc.oneof(
  fc.constant<Ending>({ state: 'completed', finishReason: 'stop' }),
  fc.constant<Ending>({ state: 'cancelled' }),
  reason.map((why): Ending => ({ state: 'interrupted', reason: why })),
);
const nth = fc.option(fc.nat(5), { nil: undefined });
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Action>({ do: 'send', whenBusy: 'enqueue' }) },
  fc.constant<Action>({ do: 'send', whenBusy: 'interrupt' }),
  fc.record({
    do: fc.constant('retry' as const),
    nth,
    text: fc.option(fc.constant('anew'), { nil: undefined }),
  }),
  fc.record({ do: fc.constant('cancel' as const), nth }),
  fc.constant<Action>({ do: 'end-waiting' }),
  { weight: 4, arbitrary: fc.constant<Action>({ do: 'begin' }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('speak' as const),
      words: fc.array(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 4 }),
      call: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('end' as const), ending }) },
);
const story = fc
  .tuple(fc.array(action, { maxLength: 40 }), fc.boolean())
  .map(([actions, closes]): Action[] => (closes ? [...actions, { do: 'close' }] : actions));

// ---- Clients -------------------------------------------------------------------------------------------

/** A way to fold a session's events, by a test's view, by the page's or by the client package's. */
interface Fold<View> {
  empty: () => View;
  applyOpened: (view: View, opened: OpenedSession) => View;
  applyEvents: (view: View, events: SessionEvent[]) => View;
  messages: (view: View) => readonly UIMessage[];
  turns: (view: View) => readonly { turnId: string; messageId: string; state: string }[];
}

const testFold: Fold<ConversationView> = {
  empty: () => EMPTY_CONVERSATION,
  applyOpened,
  applyEvents,
  messages: (view) => view.messages,
  turns: (view) => view.turns,
};

const asJson = <Value>(value: Value): Value => JSON.parse(JSON.stringify(value)) as Value;

/** Every client shows what is stored, at every moment: one that stayed, one that read late, one that came back. */
function checkClients<View>(fold: Fold<View>, comparable: (message: UIMessage) => unknown): void {
  const shown = (messages: readonly UIMessage[]): unknown =>
    messages.map((message) => comparable(asJson(message)));
  fc.assert(
    fc.property(story, fc.nat(40), (actions, pause) => {
      const server = new Server();
      let steady = fold.empty();
      let merging = fold.empty();
      let reloading = fold.empty();
      let [seen, read] = [0, 0];
      actions.forEach((each, index) => {
        server.act(each);
        const { log, session } = server;
        steady = fold.applyEvents(steady, log.slice(seen));
        seen = log.length;
        if (index % (pause + 1) === pause || index === actions.length - 1) {
          merging = fold.applyEvents(merging, mergeEvents(log.slice(read)));
          read = log.length;
          reloading = fold.applyOpened(fold.empty(), server.snapshot());
          expect(shown(fold.messages(merging))).toEqual(shown(fold.messages(steady)));
          expect(begun(fold, reloading)).toEqual(begun(fold, steady));
        }
        // Waiting messages stand in the order in which they came; one that interrupts is stored before them.
        const waiting = new Set(session.waiting.map(({ message }) => message.id));
        const running = session.running?.turnId;
        const stood = fold
          .messages(steady)
          .filter(
            ({ id, metadata, role }) => !waiting.has(id) && (role === 'user' || metadata?.turnId !== running),
          );
        expect(shown(stood)).toEqual(shown(server.begun));
        expect(
          fold
            .messages(steady)
            .slice(-waiting.size || Infinity)
            .map(({ id }) => id)
            .sort(),
        ).toEqual([...waiting].sort());
        if (!isBusy(session)) expect(shown(fold.messages(steady))).toEqual(shown(server.begun));
        expect(new Set(fold.turns(steady).map(({ turnId }) => turnId))).toEqual(
          new Set(openTurns(session).map(({ turnId }) => turnId)),
        );
      });
    }),
    { numRuns: 400 },
  );

  /** The messages but for those that wait, the running answer among them. */
  function begun(each: Fold<View>, view: View): unknown {
    const waiting = each.turns(view).filter(({ state }) => state === 'queued');
    return shown(each.messages(view).filter(({ id }) => !waiting.some(({ messageId }) => messageId === id)));
  }
}

describe('applyEvents', () => {
  it('shows what is stored, to a client that stayed, one that reads late, and one that reloads', () => {
    checkClients(testFold, (message) => message);
  });

  it('is pure', () => {
    const server = new Server();
    for (const each of ['send', 'begin', 'speak', 'end'] as const) {
      const before = applyEvents(EMPTY_CONVERSATION, server.log);
      const frozen = JSON.stringify(before);
      if (each === 'send') server.act({ do: each, whenBusy: 'enqueue' });
      if (each === 'begin') server.act({ do: each });
      if (each === 'speak') server.act({ do: each, words: ['a', 'b'], call: false });
      if (each === 'end') server.act({ do: each, ending: { state: 'cancelled' } });
      applyEvents(before, server.log);
      expect(JSON.stringify(before)).toBe(frozen);
    }
    expect(EMPTY_CONVERSATION).toEqual({ messages: [], turns: [], answer: [] });
  });

  const user = (id: string): UIMessage => ({ id, role: 'user', parts: [{ type: 'text', text: id }] });
  const events = (...entries: LogEntry[]): SessionEvent[] =>
    entries.map((entry, index) => ({ ...entry, seq: index + 1 }));
  const ids = (view: ConversationView): string[] => view.messages.map(({ id }) => id);

  it('puts a running answer right after its message, and a message that begins before those that wait', () => {
    const view = applyEvents(
      EMPTY_CONVERSATION,
      events(
        { type: 'message', message: user('u1') },
        { type: 'turn', turnId: 't1', messageId: 'u1', state: 'queued' },
        { type: 'turn', turnId: 't1', messageId: 'u1', state: 'running' },
        { type: 'message', message: user('u2') },
        { type: 'turn', turnId: 't2', messageId: 'u2', state: 'queued' },
        { type: 'chunk', turnId: 't1', chunk: { type: 'start', messageId: 'a1' } },
        { type: 'message', message: user('u3') },
        { type: 'turn', turnId: 't3', messageId: 'u3', state: 'queued' },
        { type: 'turn', turnId: 't1', messageId: 'u1', state: 'interrupted', reason: 'message' },
        { type: 'turn', turnId: 't3', messageId: 'u3', state: 'running' },
        { type: 'chunk', turnId: 't3', chunk: { type: 'start', messageId: 'a3' } },
      ),
    );
    expect(ids(view)).toEqual(['u1', 'a1', 'u3', 'a3', 'u2']);
    expect(view.turns).toEqual([
      { turnId: 't3', messageId: 'u3', state: 'running' },
      { turnId: 't2', messageId: 'u2', state: 'queued' },
    ]);
  });

  it('drops all that it holds where it does not hold the message of a retry', () => {
    const held = { ...EMPTY_CONVERSATION, messages: [user('u2'), user('u3')] };
    const retried = events(
      { type: 'truncated', afterMessageId: 'u1' },
      { type: 'message', message: user('u1') },
      { type: 'turn', turnId: 't4', messageId: 'u1', state: 'queued' },
    );
    expect(ids(applyEvents(held, retried))).toEqual(['u1']);
    const more = { ...EMPTY_CONVERSATION, messages: [user('u0'), user('u1'), user('u2')] };
    expect(ids(applyEvents(more, retried))).toEqual(['u0', 'u1']);
  });

  it('knows the agent and the end of the session', () => {
    const view = applyEvents(
      EMPTY_CONVERSATION,
      events({ type: 'agent', agent: 'bob', previous: 'alice' }, { type: 'session', state: 'expired' }),
    );
    expect(view).toMatchObject({ agent: 'bob', ended: 'expired' });
  });
});

describe("the client package's conversation", () => {
  it('[CLI-1] shows what is stored, likewise', () => {
    const fold: Fold<Conversation> = {
      empty: () => new Conversation(),
      applyOpened: (view, opened) => {
        view.applyOpened(opened);
        return view;
      },
      applyEvents: (view, events) => {
        view.applyEvents(events);
        return view;
      },
      messages: ({ state }) => state.messages,
      turns: ({ state }) => state.turns,
    };
    checkClients(fold, (message) => message);
  });

  it('changes nothing in place, so that what is identical did not change', () => {
    const server = new Server();
    const conversation = new Conversation();
    const states = new Map<unknown, string>();
    let read = 0;
    const look = (): void => {
      conversation.applyEvents(server.log.slice(read));
      read = server.log.length;
      states.set(conversation.state, JSON.stringify(conversation.state));
    };
    const speak: Action = { do: 'speak', words: ['a', 'b'], call: true };
    const send: Action = { do: 'send', whenBusy: 'enqueue' };
    for (const each of [
      send,
      { do: 'begin' },
      speak,
      send,
      speak,
      { do: 'end', ending: { state: 'cancelled' } },
    ] as const) {
      server.act(each);
      look();
    }
    expect(states.size).toBe(6);
    for (const [state, json] of states) expect(JSON.stringify(state)).toBe(json);
    const [first] = conversation.state.messages;
    server.act({ do: 'begin' });
    look();
    expect(conversation.state.messages[0]).toBe(first);
  });
});
