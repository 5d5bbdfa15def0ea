import { IsIn, IsOptional, IsString, Length, Matches } from 'class-validator';
import { limitText } from '../gateway/chat.dto.js';
import { invalidPayload, toDto } from '../gateway/payload.pipe.js';
import { ID_PATTERN, LIMITS, type WhenBusy } from '../protocol.js';
import { isRecord } from '../sessions/json.js';
import { plainCopy } from '../sessions/plain-json.js';
import { RequestError } from '../sessions/request.error.js';
import type { TurnOrder } from './conversations.js';

const { idLength, sessionIdMinLength } = LIMITS;

/** The chat's id is the session's. */
class ChatDto {
  @Length(sessionIdMinLength, idLength)
  @Matches(ID_PATTERN)
  @IsString()
  id!: string;
}

class ChatRequestDto extends ChatDto {
  @IsOptional()
  @IsIn(['submit-message', 'regenerate-message'])
  trigger?: 'submit-message' | 'regenerate-message';

  @IsOptional()
  @Length(1, idLength)
  @IsString()
  messageId?: string;

  @IsOptional()
  @Length(1, idLength)
  @IsString()
  agent?: string;

  @IsOptional()
  @IsIn(['enqueue', 'reject', 'interrupt'])
  whenBusy?: WhenBusy;
}

class ChatMessageDto {
  @Length(1, idLength)
  @IsString()
  id!: string;

  @IsIn(['user'], { message: 'the last one must be a user message: tools run on the gateway' })
  role!: 'user';
}

/**
 * A request as the AI SDK's chat transports make it: `{id, trigger, messageId, messages}`, and of its extra body
 * `agent` and `whenBusy`. The gateway keeps the conversation, so of the messages only the last one is read.
 * @throws RequestError `invalid_payload`, `payload_too_large`
 */
export function chatOrder(body: unknown): TurnOrder {
  const { id, trigger, messageId, agent, whenBusy, messages } = objectOf(body, '');
  const request = toDto(ChatRequestDto, plain({ id, trigger, messageId, agent, whenBusy }, ''));
  const message = objectOf(Array.isArray(messages) ? messages.at(-1) : undefined, 'messages');
  const { id: asked, parts } = { ...lastMessage(message), parts: message['parts'] };
  const order = {
    sessionId: request.id,
    messageId: asked,
    agent: request.agent,
    whenBusy: request.whenBusy,
  };
  // `regenerate` names the answer, or nothing; the messages then end with the one to answer anew.
  if (request.trigger === 'regenerate-message') return { ...order, retry: true };
  return { ...order, retry: request.messageId !== undefined, text: textOf(parts) };
}

/** @throws RequestError `invalid_payload` */
export function chatId(id: unknown): string {
  return toDto(ChatDto, plain({ id }, '')).id;
}

function lastMessage({ id, role }: Record<string, unknown>): ChatMessageDto {
  try {
    return toDto(ChatMessageDto, plain({ id, role }, 'messages'));
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const [issue] = error.details.issues ?? [];
    throw RequestError.invalid('messages', issue?.message ?? 'the last one cannot be used');
  }
}

function textOf(parts: unknown): string {
  if (!Array.isArray(parts)) throw RequestError.invalid('messages', 'the last one has no parts');
  const texts = parts.map((part: unknown) => {
    const { type, text } = objectOf(part, 'messages');
    if (type !== 'text' || typeof text !== 'string')
      throw RequestError.invalid('messages', 'a message is text: the last one holds a part that is not');
    return text;
  });
  const text = texts.join('\n');
  if (text === '') throw RequestError.invalid('messages', 'the text of the last one is empty');
  limitText(text);
  return (plain({ text }, 'messages') as { text: string }).text;
}

function objectOf(value: unknown, path: string): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw RequestError.invalid(path, path === '' ? 'an object is expected' : 'its last one must be a message');
}

function plain(value: object, path: string): object {
  const checked = plainCopy(value);
  if (checked.ok) return checked.value as object;
  throw invalidPayload([{ ...checked.issue, path: path === '' ? checked.issue.path : path }]);
}
