import { Transform, Type } from 'class-transformer';
import {
  Equals,
  IsBoolean,
  IsIn,
  IsInt,
  IsObject,
  IsOptional,
  IsString,
  Length,
  Matches,
  Max,
  Min,
  MinLength,
  ValidateNested,
} from 'class-validator';
import { ID_PATTERN, LIMITS, type OpenRequest, type WhenBusy } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';

const { idLength, sessionIdMinLength, keyMinLength, keyMaxLength, historyPage } = LIMITS;

/** Agents have one canonical id, whatever the case in which it is asked for. */
const canonical = Transform(({ value }: { value: unknown }) =>
  typeof value === 'string' ? value.trim().toLowerCase() : value,
);

// Validators of a field run from the lowest decorator up, and the first that fails is told: types come last.

export class PositionDto {
  @Length(1, idLength)
  @IsString()
  epoch!: string;

  @Min(0)
  @Max(Number.MAX_SAFE_INTEGER)
  @IsInt()
  seq!: number;
}

export class OpenDto implements OpenRequest {
  @IsOptional()
  @Length(sessionIdMinLength, idLength)
  @Matches(ID_PATTERN)
  @IsString()
  sessionId?: string;

  @IsOptional()
  @Length(keyMinLength, keyMaxLength)
  @Matches(ID_PATTERN)
  @IsString()
  key?: string;

  @IsOptional()
  @IsBoolean()
  create?: boolean;

  @IsOptional()
  @canonical
  @Length(1, idLength)
  @IsString()
  agent?: string;

  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => PositionDto)
  position?: PositionDto;

  @IsOptional()
  @IsObject()
  metadata?: Record<string, unknown>;
}

/** A session that is bound to the socket. */
export class SessionDto {
  @Length(1, idLength)
  @IsString()
  sessionId!: string;
}

export class HistoryDto extends SessionDto {
  @IsOptional()
  @Length(1, idLength)
  @IsString()
  before?: string;

  @IsOptional()
  @Min(1)
  @Max(historyPage)
  @IsInt()
  limit?: number;
}

export class ListDto {
  @IsOptional()
  @Min(1)
  @Max(historyPage)
  @IsInt()
  limit?: number;

  @IsOptional()
  @Length(1, 512)
  @IsString()
  cursor?: string;
}

export class SendDto extends SessionDto {
  @Length(1, idLength)
  @IsString()
  messageId!: string;

  /** Its upper limit has an error code of its own. */
  @MinLength(1)
  @IsString()
  text!: string;

  @IsOptional()
  @IsIn(['enqueue', 'reject', 'interrupt'])
  whenBusy?: WhenBusy;
}

export class CancelDto extends SessionDto {
  @IsOptional()
  @Length(1, idLength)
  @IsString()
  turnId?: string;
}

export class RetryDto extends SessionDto {
  @Length(1, idLength)
  @IsString()
  retryId!: string;

  @IsOptional()
  @Length(1, idLength)
  @IsString()
  messageId?: string;

  @IsOptional()
  @MinLength(1)
  @IsString()
  text?: string;
}

export class SwitchDto extends SessionDto {
  @canonical
  @Length(1, idLength)
  @IsString()
  agent!: string;
}

/** A request without fields. */
export class EmptyDto {
  /** Never there: class-validator refuses a class that has no rule at all. */
  @IsOptional()
  @Equals(undefined)
  readonly nothing?: undefined;
}

/** @throws RequestError `payload_too_large` */
export function limitText(text: string | undefined): void {
  if (text !== undefined && text.length > LIMITS.textLength) {
    throw new RequestError('payload_too_large', `A text has up to ${LIMITS.textLength} UTF-16 units.`);
  }
}
