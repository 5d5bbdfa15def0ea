export { MooringClient, type ClientOptions, type SessionOptions } from './client.js';
export {
  MooringSession,
  type RetryOptions,
  type SendOptions,
  type SessionEvents,
  type SessionState,
} from './session.js';
export type { SessionConnection } from './binding.js';
export type { ConnectionOptions, ConnectionState } from './connection.js';
export { Conversation, EMPTY_CONVERSATION, type ConversationState } from './conversation.js';
export { newCredentials, newId, type Credentials } from './credentials.js';
export { MooringError, type MooringErrorCode } from './errors.js';
export type { Outgoing, OutgoingRequest } from './outbox.js';
export { MemoryStorage, type KeyValueStorage } from './storage.js';
export type {
  AgentEvent,
  AgentSummary,
  ChunkEvent,
  ErrorCode,
  EventPacket,
  FinishReason,
  InterruptReason,
  Issue,
  MessageEvent,
  MessageMetadata,
  MessagePart,
  OpenedSession,
  OpenTurn,
  Position,
  ReasoningPart,
  SendResult,
  SessionEndEvent,
  SessionEvent,
  SessionSummary,
  StepStartPart,
  TerminalState,
  TextPart,
  ToolPart,
  TruncatedEvent,
  TurnError,
  TurnErrorCode,
  TurnEvent,
  TurnState,
  UIMessage,
  UIMessageChunk,
  Usage,
  WhenBusy,
} from '../../src/protocol.js';
