import type { ArgumentMetadata, PipeTransform } from '@nestjs/common';
import { plainToInstance } from 'class-transformer';
import { validateSync, type ValidationError } from 'class-validator';
import type { Issue } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';

/** Turns a payload into its DTO; fields that the contract does not know are dropped. */
export class PayloadPipe implements PipeTransform {
  /** Nest runs a pipe over every argument of a handler. */
  transform(value: unknown, { type, metatype }: ArgumentMetadata): unknown {
    return type === 'body' && metatype ? toDto(metatype as new () => object, value as object) : value;
  }
}

/**
 * @param payload plain JSON; a field that is null counts as absent
 * @throws RequestError `invalid_payload` with the issues
 */
export function toDto<Dto extends object>(type: new () => Dto, payload: object): Dto {
  const given = Object.fromEntries(Object.entries(payload).filter(([, field]) => field !== null));
  const dto = plainToInstance(type, given);
  // Validators of the contract are synchronous; Nest's own pipe would wait for each.
  const errors = validateSync(dto, {
    whitelist: true,
    stopAtFirstError: true,
    validationError: { target: false, value: false },
  });
  if (errors.length > 0) throw invalidPayload(errors.flatMap((error) => issuesOf(error)));
  return dto;
}

export function invalidPayload(issues: Issue[]): RequestError {
  const [first] = issues;
  // class-validator's own messages begin with the field's name.
  const message = first && (first.path === '' ? `payload: ${first.message}` : first.message);
  return new RequestError('invalid_payload', message ?? 'The payload cannot be used.', { issues });
}

function issuesOf(error: ValidationError, parent = ''): Issue[] {
  const path = parent === '' ? error.property : `${parent}.${error.property}`;
  const own = Object.values(error.constraints ?? {}).map((message) => ({ path, message }));
  return [...own, ...(error.children ?? []).flatMap((child) => issuesOf(child, path))];
}
