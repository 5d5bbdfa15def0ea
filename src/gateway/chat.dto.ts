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

const { idLength, sessionIdMinLength, keyMinLength, keyMaxLength, historyPage } = LIMITS;

/** Agents have one canonical id, whatever the case in which it is asked for. */
const canonical = Transform(({ value }: { value: unknown }) =>
  typeof value === 'string' ? value.trim().toLowerCase() : value,
);

export class PositionDto {
  @IsString()
  @Length(1, idLength)
  epoch!: string;

  @IsInt()
  @Min(0)
  @Max(Number.MAX_SAFE_INTEGER)
  seq!: number;
}

export class OpenDto implements OpenRequest {
  @IsOptional()
  @IsString()
  @Length(sessionIdMinLength, idLength)
  @Matches(ID_PATTERN)
  sessionId?: string;

  @IsOptional()
  @IsString()
  @Length(keyMinLength, keyMaxLength)
  @Matches(ID_PATTERN)
  key?: string;

  @IsOptional()
  @IsBoolean()
  create?: boolean;

  @IsOptional()
  @canonical
  @IsString()
  @Length(1, idLength)
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
  @IsString()
  @Length(1, idLength)
  sessionId!: string;
}

export class HistoryDto extends SessionDto {
  @IsOptional()
  @IsString()
  @Length(1, idLength)
  before?: string;

  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(historyPage)
  limit?: number;
}

export class ListDto {
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(historyPage)
  limit?: number;

  @IsOptional()
  @IsString()
  @Length(1, 512)
  cursor?: string;
}

export class SendDto extends SessionDto {
  @IsString()
  @Length(1, idLength)
  messageId!: string;

  /** Its upper limit has an error code of its own. */
  @IsString()
  @MinLength(1)
  text!: string;

  @IsOptional()
  @IsIn(['enqueue', 'reject', 'interrupt'])
  whenBusy?: WhenBusy;
}

export class CancelDto extends SessionDto {
  @IsOptional()
  @IsString()
  @Length(1, idLength)
  turnId?: string;
}

export class RetryDto extends SessionDto {
  @IsString()
  @Length(1, idLength)
  retryId!: string;

  @IsOptional()
  @IsString()
  @Length(1, idLength)
  messageId?: string;

  @IsOptional()
  @IsString()
  @MinLength(1)
  text?: string;
}

export class SwitchDto extends SessionDto {
  @canonical
  @IsString()
  @Length(1, idLength)
  agent!: string;
}

/** A request without fields. */
export class EmptyDto {
  /** Never there: class-validator refuses a class that has no rule at all. */
  @IsOptional()
  @Equals(undefined)
  readonly nothing?: undefined;
}
