import type { ArgumentMetadata, PipeTransform } from '@nestjs/common';
import { Transform } from 'class-transformer';
import { IsIn, IsInt, IsOptional, IsString, Length, Max, Min } from 'class-validator';
import { toDto } from '../gateway/payload.pipe.js';
import { LIMITS, type SessionPresence } from '../protocol.js';

/** Some room more than the longest that a list gives. */
const CURSOR_LENGTH = 256;

export class SessionsQueryDto {
  @IsOptional()
  @IsIn(['attached', 'detached', 'orphaned'])
  state?: SessionPresence;

  @IsOptional()
  @Min(1)
  @Max(LIMITS.historyPage)
  @IsInt()
  @Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? Number(value) : value))
  limit?: number;

  @IsOptional()
  @Length(1, CURSOR_LENGTH)
  @IsString()
  cursor?: string;
}

export class SessionQueryDto {
  @IsOptional()
  @IsIn(['true', 'false'])
  content?: 'true' | 'false';
}

/** Turns a query into its DTO. @throws RequestError `invalid_payload` with the issues */
export class QueryPipe implements PipeTransform {
  transform(value: unknown, { type, metatype }: ArgumentMetadata): unknown {
    return type === 'query' && metatype ? toDto(metatype as new () => object, value as object) : value;
  }
}
