import { ValidationPipe, type ArgumentMetadata } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import type { Issue } from '../protocol.js';
import { RequestError } from '../sessions/request.error.js';

/** Turns a payload into its DTO; fields that the contract does not know are dropped. */
export class PayloadPipe extends ValidationPipe {
  constructor() {
    super({
      transform: true,
      whitelist: true,
      stopAtFirstError: true,
      validationError: { target: false, value: false },
      exceptionFactory: (errors) => invalidPayload(errors.flatMap((error) => issuesOf(error))),
    });
  }

  /** A field that is null counts as absent. Nest runs a pipe over every argument of a handler. */
  override transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    if (metadata.type !== 'body') return Promise.resolve(value);
    const given = Object.entries(value as Record<string, unknown>).filter(([, field]) => field !== null);
    return super.transform(Object.fromEntries(given), metadata) as Promise<unknown>;
  }
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
