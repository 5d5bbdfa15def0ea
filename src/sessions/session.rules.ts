import { LIMITS, PLACEHOLDER_TEXT, type LogEntry, type TurnState, type UIMessage } from '../protocol.js';
import type {
  CancelCommand,
  CloseCommand,
  Command,
  Outcome,
  RetryCommand,
  SendCommand,
  SwitchCommand,
} from './session.command.js';
import {
  addUsage,
  isBusy,
  type Change,
  type Ending,
  type PlacedMessage,
  type RequestRecord,
  type RunningTurn,
  type Session,
  type TurnEnd,
  type TurnRequest,
  type WaitingTurn,
} from './session.js';

/*
 * A session's rules, pure: each function takes the session as it is and says what a step would change. A
 * store makes the change durable as a whole or not at all, whatever engine it stands on.
 */

export interface Decision {
  outcome: Outcome;
  change?: Change;
}

/** What the rules need to know beside the session, looked up by the store for the command at hand. */
export interface Lookup {
  now: string;
  newId: () => string;
  request(request: TurnRequest): RequestRecord | undefined;
  turn(turnId: string): RequestRecord | undefined;
  /** A message of the transcript, waiting ones not among them. */
  message(id: string): PlacedMessage | undefined;
  messageAt(position: number): PlacedMessage | undefined;
  /** Tokens that a subject has used on a day (ISO 8601, UTC). */
  tokensOf(subject: string, day: string): number;
}

export function decide(session: Session, command: Command, lookup: Lookup): Decision {
  if (session.closing) return { outcome: { kind: 'gone' } };
  switch (command.kind) {
    case 'send':
      return decideSend(session, command, lookup);
    case 'retry':
      return decideRetry(session, command, lookup);
    case 'cancel':
      return decideCancel(session, command, lookup);
    case 'end-waiting':
      return endWaiting(session, { state: 'interrupted', reason: command.reason }, lookup);
    case 'switch':
      return decideSwitch(session, command, lookup);
    case 'close':
      return decideClose(session, command, lookup);
  }
}

function decideSend(session: Session, command: SendCommand, lookup: Lookup): Decision {
  const request: TurnRequest = { kind: 'send', id: command.messageId };
  const known = lookup.request(request);
  if (known) return repeated(session, known, command.digest);
  if (lookup.message(command.messageId)) return { outcome: { kind: 'conflict' } };
  if (!command.admit) return { outcome: { kind: 'draining' } };
  const spent = spentUp(session, command, lookup);
  if (spent) return { outcome: spent };
  const busy = isBusy(session);
  if (busy && command.whenBusy === 'reject') return { outcome: { kind: 'busy' } };
  if (session.waiting.length >= LIMITS.queuedTurns) return { outcome: { kind: 'queue_full' } };

  const message: UIMessage = {
    id: command.messageId,
    role: 'user',
    metadata: { createdAt: lookup.now },
    parts: [{ type: 'text', text: command.text }],
  };
  const turn: WaitingTurn = { turnId: command.turnId, request, message };
  const first = command.whenBusy === 'interrupt';
  const waiting = first ? [turn, ...session.waiting] : [...session.waiting, turn];
  return accepted({ ...session, waiting }, turn, command.digest, lookup, {
    interrupts: first ? session.running?.turnId : undefined,
  });
}

function decideRetry(session: Session, command: RetryCommand, lookup: Lookup): Decision {
  const request: TurnRequest = { kind: 'retry', id: command.retryId };
  const known = lookup.request(request);
  if (known) return repeated(session, known, command.digest);
  if (!command.admit) return { outcome: { kind: 'draining' } };
  const spent = spentUp(session, command, lookup);
  if (spent) return { outcome: spent };
  if (isBusy(session)) return { outcome: { kind: 'busy' } };
  const target =
    command.messageId === undefined
      ? lookup.messageAt(session.nextPosition - 2)
      : lookup.message(command.messageId);
  if (target?.message.role !== 'user') return { outcome: { kind: 'unknown_message' } };

  const message: UIMessage =
    command.text === undefined
      ? target.message
      : { ...target.message, parts: [{ type: 'text', text: command.text }] };
  const turn: WaitingTurn = { turnId: command.turnId, request, message };
  return accepted(
    { ...session, waiting: [turn], nextPosition: target.position },
    turn,
    command.digest,
    lookup,
    { withdrawFrom: target.position },
  );
}

const DAY_MS = 24 * 3_600_000;

/** Days are those of UTC. A turn that runs is counted when it ends: an owner can go past its limit by those. */
function spentUp(
  { owner }: Session,
  { tokensPerDay }: SendCommand | RetryCommand,
  lookup: Lookup,
): Outcome | undefined {
  if (tokensPerDay === undefined || owner.kind !== 'subject') return undefined;
  if (lookup.tokensOf(owner.sub, dayOf(lookup.now)) < tokensPerDay) return undefined;
  return { kind: 'spent', retryAfterMs: DAY_MS - (Date.parse(lookup.now) % DAY_MS) };
}

/** Of a time in ISO 8601. */
export function dayOf(time: string): string {
  return time.slice(0, 'YYYY-MM-DD'.length);
}

function accepted(
  session: Session,
  turn: WaitingTurn,
  digest: string,
  lookup: Lookup,
  also: { interrupts?: string; withdrawFrom?: number },
): Decision {
  const { turnId, message, request } = turn;
  const entries: LogEntry[] = [
    { type: 'message', message },
    { type: 'turn', turnId, messageId: message.id, state: 'queued' },
  ];
  if (also.withdrawFrom !== undefined) entries.unshift({ type: 'truncated', afterMessageId: message.id });
  const first = session.nextPosition === 0 && session.waiting.length === 1;
  const next: Session = {
    ...session,
    seq: session.seq + entries.length,
    updatedAt: lookup.now,
    title: first ? titleOf(message) : session.title,
  };
  return {
    outcome: {
      kind: 'accepted',
      turnId,
      messageId: message.id,
      state: 'queued',
      interrupts: also.interrupts,
    },
    change: {
      session: next,
      entries,
      withdrawFrom: also.withdrawFrom,
      request: { request, digest, turnId, messageId: message.id, state: 'queued' },
    },
  };
}

function repeated(session: Session, known: RequestRecord, digest: string): Decision {
  if (known.digest !== digest) return { outcome: { kind: 'conflict' } };
  const { turnId, messageId } = known;
  return { outcome: { kind: 'duplicate', turnId, messageId, state: stateOf(session, known) } };
}

function decideCancel(session: Session, command: CancelCommand, lookup: Lookup): Decision {
  const turnId = command.turnId ?? session.running?.turnId;
  if (turnId === undefined) return { outcome: { kind: 'no_turn' } };
  if (session.running?.turnId === turnId) return { outcome: { kind: 'running', turnId } };
  if (session.waiting.some((turn) => turn.turnId === turnId)) {
    const change = endUnrun(session, (turn) => turn.turnId === turnId, { state: 'cancelled' }, lookup);
    return { outcome: { kind: 'ended', turnId, state: 'cancelled' }, change };
  }
  const known = lookup.turn(turnId);
  if (!known) return { outcome: { kind: 'no_turn' } };
  return { outcome: { kind: 'ended', turnId, state: known.state } };
}

function endWaiting(session: Session, ending: Ending, lookup: Lookup): Decision {
  if (session.waiting.length === 0) return { outcome: { kind: 'done' } };
  return { outcome: { kind: 'done' }, change: endUnrun(session, () => true, ending, lookup) };
}

function decideSwitch(session: Session, command: SwitchCommand, lookup: Lookup): Decision {
  const { agent } = command;
  if (agent.hash === session.agent.hash && agent.id === session.agent.id)
    return { outcome: { kind: 'done' } };
  return {
    outcome: { kind: 'done' },
    change: {
      session: { ...session, agent, seq: session.seq + 1, updatedAt: lookup.now },
      entries: [{ type: 'agent', agent: agent.id, previous: session.agent.id }],
    },
  };
}

function decideClose(session: Session, command: CloseCommand, lookup: Lookup): Decision {
  const ended = endUnrun(session, () => true, { state: 'interrupted', reason: 'closed' }, lookup);
  if (session.running) {
    return {
      outcome: { kind: 'closing', turnId: session.running.turnId },
      change: { ...ended, session: { ...ended.session, closing: command.state } },
    };
  }
  return { outcome: { kind: 'done' }, change: withSessionEnd(ended, command.state) };
}

function withSessionEnd(change: Change, state: 'closed' | 'expired'): Change {
  return {
    ...change,
    session: { ...change.session, seq: change.session.seq + 1 },
    entries: [...change.entries, { type: 'session', state }],
    gone: true,
  };
}

/** Ends waiting turns without running them: each takes its place before those that still wait. */
function endUnrun(
  session: Session,
  which: (turn: WaitingTurn) => boolean,
  ending: Ending,
  lookup: Lookup,
): Change {
  const change: Change = { session, entries: [], messages: [], settled: [] };
  let position = session.nextPosition;
  for (const turn of session.waiting.filter(which)) {
    const answer: UIMessage = {
      id: lookup.newId(),
      role: 'assistant',
      metadata: {
        turnId: turn.turnId,
        agent: session.agent.id,
        status: ending.state,
        createdAt: lookup.now,
      },
      parts: [{ type: 'text', text: PLACEHOLDER_TEXT, state: 'done' }],
    };
    change.entries.push(
      { type: 'message', message: answer },
      { type: 'turn', turnId: turn.turnId, messageId: turn.message.id, ...ending },
    );
    change.messages?.push({ position, message: turn.message }, { position: position + 1, message: answer });
    change.settled?.push({ request: turn.request, turnId: turn.turnId, state: ending.state });
    position += 2;
  }
  change.session = {
    ...session,
    waiting: session.waiting.filter((turn) => !which(turn)),
    nextPosition: position,
    seq: session.seq + change.entries.length,
    updatedAt: change.entries.length > 0 ? lookup.now : session.updatedAt,
  };
  return change;
}

/** The first waiting turn begins; undefined where none waits. */
export function beginTurn(session: Session, now: string): Change | undefined {
  const [turn, ...waiting] = session.waiting;
  if (!turn || session.running || session.closing) return undefined;
  const { turnId, message, request } = turn;
  const position = session.nextPosition;
  const running: RunningTurn = {
    turnId,
    request,
    messageId: message.id,
    agent: session.agent.id,
    startSeq: session.seq + 1,
    position,
  };
  return {
    session: {
      ...session,
      running,
      waiting,
      nextPosition: position + 2,
      seq: session.seq + 1,
      updatedAt: now,
    },
    entries: [{ type: 'turn', turnId, messageId: message.id, state: 'running', agent: running.agent }],
    messages: [{ position, message }],
  };
}

/** The running turn's next events. */
export function extendTurn(session: Session, entries: LogEntry[]): Change {
  return { session: { ...session, seq: session.seq + entries.length }, entries };
}

/** The running turn's last events and its end. */
export function endTurn(
  session: Session,
  running: RunningTurn,
  entries: LogEntry[],
  end: TurnEnd,
  now: string,
): Change {
  const { turnId, messageId, request, position, agent } = running;
  const last: LogEntry = { type: 'turn', turnId, messageId, agent, ...end.ending };
  if (end.usage) last.usage = end.usage;
  const all = [...entries, last];
  const used = end.usage ? addUsage(session.used, end.usage) : session.used;
  const change: Change = {
    session: { ...session, running: undefined, seq: session.seq + all.length, updatedAt: now, used },
    entries: all,
    messages: [{ position: position + 1, message: end.answer }],
    settled: [{ request, turnId, state: end.ending.state }],
  };
  const { owner } = session;
  if (end.usage && owner.kind === 'subject') {
    const tokens = end.usage.inputTokens + end.usage.outputTokens;
    change.spent = { subject: owner.sub, day: dayOf(now), tokens };
  }
  return session.closing ? withSessionEnd(change, session.closing) : change;
}

function stateOf(session: Session, known: RequestRecord): TurnState {
  if (session.running?.turnId === known.turnId) return 'running';
  if (session.waiting.some((turn) => turn.turnId === known.turnId)) return 'queued';
  return known.state;
}

function titleOf(message: UIMessage): string {
  const text = message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  return [...text].slice(0, LIMITS.titleLength).join('');
}
