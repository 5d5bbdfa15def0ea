/**
 * The whole conversation between a frontend and the gateway, typed. Read this first.
 *
 * Socket.IO 4, namespace `/`. A client sends {@link Requests}, each acknowledged with an {@link Ack};
 * the gateway sends {@link ServerEvents}. A session is an append-only log of {@link SessionEvent}s and a
 * client is a cursor on it, its {@link Position}. The rules in words are in `SPEC.md`.
 *
 * This file imports nothing, so that a client can be built on it alone.
 */

// ---- Positions ----------------------------------------------------------------------------------------

/** The last event that a client has applied. `seq` counts 1, 2, 3 … within an `epoch`. */
export interface Position {
  epoch: string;
  seq: number;
}

// ---- Messages (the AI SDK's UI message format, version 7) ----------------------------------------------

export type TurnState = 'queued' | 'running' | TerminalState;
export type TerminalState = 'completed' | 'cancelled' | 'interrupted' | 'failed';
export type InterruptReason = 'message' | 'detached' | 'closed' | 'node_lost' | 'draining';
export type FinishReason = 'stop' | 'length' | 'content-filter' | 'tool-calls' | 'error' | 'other';

/** Tokens of one turn, all its model steps added up. `estimated`: the vendor did not say. */
export interface Usage {
  inputTokens: number;
  outputTokens: number;
  estimated: boolean;
}

/** On every message; the fields of a turn are an assistant message's. `createdAt` is ISO 8601. */
export interface MessageMetadata {
  createdAt?: string;
  turnId?: string;
  agent?: string;
  status?: TerminalState;
  usage?: Usage;
}

export interface TextPart {
  type: 'text';
  text: string;
  state?: 'streaming' | 'done';
}

export interface ReasoningPart {
  type: 'reasoning';
  id?: string;
  text: string;
  state?: 'streaming' | 'done';
}

export interface StepStartPart {
  type: 'step-start';
}

/** A tool call with its one result; `type` is `tool-` and the tool's name. */
export interface ToolPart {
  type: `tool-${string}`;
  toolCallId: string;
  state: 'input-streaming' | 'input-available' | 'output-available' | 'output-error';
  input?: unknown;
  rawInput?: unknown;
  output?: unknown;
  errorText?: string;
}

export type MessagePart = TextPart | ReasoningPart | StepStartPart | ToolPart;

export interface UIMessage {
  id: string;
  role: 'user' | 'assistant';
  metadata?: MessageMetadata;
  parts: MessagePart[];
}

/** A piece of a streamed answer. Chunks of other types may appear; a client passes them through. */
export type UIMessageChunk =
  | { type: 'start'; messageId: string; messageMetadata?: MessageMetadata }
  | { type: 'start-step' }
  | { type: 'text-start'; id: string }
  | { type: 'text-delta'; id: string; delta: string }
  | { type: 'text-end'; id: string }
  | { type: 'reasoning-start'; id: string }
  | { type: 'reasoning-delta'; id: string; delta: string }
  | { type: 'reasoning-end'; id: string }
  | { type: 'tool-input-start'; toolCallId: string; toolName: string }
  | { type: 'tool-input-delta'; toolCallId: string; inputTextDelta: string }
  | { type: 'tool-input-available'; toolCallId: string; toolName: string; input: unknown }
  | { type: 'tool-input-error'; toolCallId: string; toolName: string; input: unknown; errorText: string }
  | { type: 'tool-output-available'; toolCallId: string; output: unknown }
  | { type: 'tool-output-error'; toolCallId: string; errorText: string }
  | { type: 'finish-step' }
  | { type: 'message-metadata'; messageMetadata: MessageMetadata }
  | { type: 'finish'; finishReason?: FinishReason }
  | { type: 'abort'; reason?: string }
  | { type: 'error'; errorText: string };

// ---- The log -------------------------------------------------------------------------------------------

/** A message was accepted or changed: upsert by id. */
export interface MessageEvent {
  type: 'message';
  message: UIMessage;
}

/** A turn changed its state; a terminal state is the last event of its turn. `agent` is an id. */
export interface TurnEvent {
  type: 'turn';
  turnId: string;
  /** The user message's id. */
  messageId: string;
  state: TurnState;
  agent?: string;
  usage?: Usage;
  finishReason?: FinishReason;
  reason?: InterruptReason;
  error?: TurnError;
}

/** A piece of the running turn's answer. */
export interface ChunkEvent {
  type: 'chunk';
  turnId: string;
  chunk: UIMessageChunk;
}

/** Messages after this one were withdrawn; a `message` event with that user message follows. */
export interface TruncatedEvent {
  type: 'truncated';
  afterMessageId: string;
}

/** The agent was switched: ids. */
export interface AgentEvent {
  type: 'agent';
  agent: string;
  previous: string;
}

/** The session ended and its sockets are unbound: always the last event. */
export interface SessionEndEvent {
  type: 'session';
  state: 'closed' | 'expired';
}

export type LogEntry = MessageEvent | TurnEvent | ChunkEvent | TruncatedEvent | AgentEvent | SessionEndEvent;

/** An entry of the session's log. A delta that was merged from several carries the last one's `seq`. */
export type SessionEvent = LogEntry & { seq: number };

/** The log after `from` up to `to`; never empty. */
export interface EventPacket {
  sessionId: string;
  epoch: string;
  from: number;
  to: number;
  events: SessionEvent[];
}

// ---- Requests ------------------------------------------------------------------------------------------

export type WhenBusy = 'enqueue' | 'reject' | 'interrupt';

export interface OpenRequest {
  sessionId?: string;
  key?: string;
  create?: boolean;
  agent?: string;
  position?: Position;
  metadata?: Record<string, unknown>;
}

export interface AgentSummary {
  id: string;
  name: string;
  description: string;
}

export interface OpenTurn {
  turnId: string;
  /** The user message's id. */
  messageId: string;
  state: 'running' | 'queued';
}

export interface OpenedSession {
  sessionId: string;
  /** Only in the answer to the open that made the session. */
  key?: string;
  created: boolean;
  agent: AgentSummary;
  /** Where the client stands after applying what this holds. */
  position: Position;
  /** True: `events` are exactly those after the client's position. False: replace all state. */
  recovered: boolean;
  turns: OpenTurn[];
  messages: UIMessage[];
  hasMore: boolean;
  events: SessionEvent[];
}

export interface SendResult {
  messageId: string;
  turnId: string;
  state: TurnState;
  duplicate: boolean;
}

export type SessionPresence = 'attached' | 'detached' | 'orphaned';

export interface SessionSummary {
  sessionId: string;
  agent: string;
  /** The first message's first 60 characters, else ''. */
  title: string;
  state: SessionPresence;
  /** ISO 8601. */
  updatedAt: string;
}

/** Every request with its payload and the data of its acknowledgement. */
export interface Requests {
  'session:open': { payload: OpenRequest; data: OpenedSession };
  'session:leave': { payload: { sessionId: string }; data: Record<string, never> };
  'session:close': { payload: { sessionId: string }; data: Record<string, never> };
  'session:history': {
    payload: { sessionId: string; before?: string; limit?: number };
    data: { messages: UIMessage[]; hasMore: boolean };
  };
  'session:list': {
    payload: { limit?: number; cursor?: string };
    data: { sessions: SessionSummary[]; nextCursor?: string };
  };
  'message:send': {
    payload: { sessionId: string; messageId: string; text: string; whenBusy?: WhenBusy };
    data: SendResult;
  };
  'turn:cancel': {
    payload: { sessionId: string; turnId?: string };
    data: { turnId: string; cancelled: boolean };
  };
  'turn:retry': {
    payload: { sessionId: string; retryId: string; messageId?: string; text?: string };
    data: SendResult;
  };
  'agent:list': { payload: Record<string, never>; data: { agents: AgentSummary[] } };
  'agent:switch': { payload: { sessionId: string; agent: string }; data: { agent: string } };
}

export type RequestName = keyof Requests;

export const REQUEST_NAMES: readonly RequestName[] = [
  'session:open',
  'session:leave',
  'session:close',
  'session:history',
  'session:list',
  'message:send',
  'turn:cancel',
  'turn:retry',
  'agent:list',
  'agent:switch',
];

export type Ack<Data> = { ok: true; data: Data } | { ok: false; error: ErrorPayload };

/** What a client emits: every request, with an optional acknowledgement callback. */
export type ClientEvents = {
  [Name in RequestName]: (
    payload: Requests[Name]['payload'],
    ack?: (answer: Ack<Requests[Name]['data']>) => void,
  ) => void;
};

/** What the gateway emits. */
export interface ServerEvents {
  'session:opened': (opened: OpenedSession) => void;
  'session:failed': (failure: { sessionId?: string; error: ErrorPayload }) => void;
  'session:events': (packet: EventPacket) => void;
  'request:failed': (failure: { event: string; error: ErrorPayload }) => void;
  'server:draining': (notice: { graceMs: number }) => void;
}

/** The handshake's `auth`: one session to bind as the socket connects, or up to 16. */
export interface HandshakeAuth {
  token?: string;
  session?: OpenRequest | OpenRequest[];
  /** W3C Trace Context: what turns that are asked for on this connection are traced below. */
  traceparent?: string;
}

// ---- Errors --------------------------------------------------------------------------------------------

export type ErrorCode =
  | 'unauthorized'
  | 'session_not_found'
  | 'invalid_payload'
  | 'payload_too_large'
  | 'message_conflict'
  | 'unknown_event'
  | 'agent_not_found'
  | 'turn_not_found'
  | 'session_busy'
  | 'queue_full'
  | 'too_many_sessions'
  | 'rate_limited'
  | 'draining'
  | 'unavailable'
  | 'internal';

const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'session_busy',
  'queue_full',
  'too_many_sessions',
  'rate_limited',
  'draining',
  'unavailable',
  'internal',
]);

/** Whether the same request may succeed later, unchanged. */
export function isRetryable(code: ErrorCode): boolean {
  return RETRYABLE.has(code);
}

export interface Issue {
  /** Dotted path into the payload; '' is the payload itself. */
  path: string;
  message: string;
}

export interface ErrorPayload {
  code: ErrorCode;
  message: string;
  retryable: boolean;
  /** With `invalid_payload`. */
  issues?: Issue[];
  /** With `rate_limited`: milliseconds. */
  retryAfterMs?: number;
}

export type TurnErrorCode =
  | 'provider_error'
  | 'provider_timeout'
  | 'provider_rate_limited'
  | 'provider_unauthorized'
  | 'content_filter'
  | 'context_overflow'
  | 'tool_limit'
  | 'turn_timeout'
  | 'internal';

export interface TurnError {
  code: TurnErrorCode;
  message: string;
  retryable: boolean;
}

// ---- Limits --------------------------------------------------------------------------------------------

/** What an answer holds that the model left empty, so that no prompt ever has two user messages in a row. */
export const PLACEHOLDER_TEXT = '[Assistant response unavailable due to connection interruption]';

export const LIMITS = {
  /** A larger packet closes the socket. */
  packetBytes: 256 * 1024,
  /** A request over HTTP or a plain WebSocket: stock transports send the whole conversation with each. */
  bodyBytes: 4 * 1024 * 1024,
  /** UTF-16 units of a message's text. */
  textLength: 32_000,
  jsonDepth: 32,
  /** Characters of any id. */
  idLength: 64,
  sessionIdMinLength: 16,
  keyMinLength: 32,
  keyMaxLength: 128,
  sessionsPerSocket: 16,
  socketsPerSession: 32,
  /** Turns that wait, beside the running one. */
  queuedTurns: 10,
  requestsPerMinute: 120,
  requestBurst: 30,
  /** Requests of a socket that are not answered yet, and characters of their JSON: a burst of the longest texts. */
  waitingRequests: 64,
  waitingLength: 1024 * 1024,
  /** Of a token's subject, over all of its sockets. */
  ownerRequestsPerMinute: 1_200,
  ownerRequestBurst: 300,
  historyPage: 100,
  /** Bytes of JSON of a page of history; at least one message. */
  historyBytes: 1024 * 1024,
  /** What a snapshot holds at most of stored messages, the newest; at least one. */
  snapshotMessages: 50,
  snapshotBytes: 256 * 1024,
  pingIntervalMs: 10_000,
  pingTimeoutMs: 10_000,
  /** How long an announced attachment may take to come. */
  attachmentTimeoutMs: 10_000,
  /** Characters of events that a replay gives at once; what is left follows as packets, as fast as they are taken. */
  replayLength: 512 * 1024,
  /** Unsent bytes of a socket past which it is sent nothing more until it drains. */
  unsentBytes: 1024 * 1024,
  /** How long such a socket may make no progress before its transport is terminated. */
  unsentTimeoutMs: 10_000,
  /** How long a session without a message outlives its last unbind (or the session TTL, if shorter). */
  emptySessionTtlMs: 10 * 60_000,
  /** How long the id of an ended session stays refused. */
  tombstoneMs: 24 * 3_600_000,
  titleLength: 60,
  /** JSON of a session's metadata, which is kept with its record. */
  metadataBytes: 16 * 1024,
} as const;

/** `sessionId` and `key` consist of these. */
export const ID_PATTERN = /^[A-Za-z0-9_-]+$/;

/** Keys that no payload may hold at any depth. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
