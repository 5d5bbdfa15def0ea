import type { ErrorCode, ErrorPayload, Issue, TurnErrorCode } from '../../src/protocol.js';

/** The contract's codes: of a request, or of a turn that failed; and one of this side, `closed`: it was left. */
export type MooringErrorCode = ErrorCode | TurnErrorCode | 'closed';

/** What every rejected promise of this package holds, and what ends a stream of a turn that failed. */
export class MooringError extends Error {
  override readonly name = 'MooringError';
  readonly code: MooringErrorCode;
  /** Whether the same request may succeed later, unchanged. */
  readonly retryable: boolean;
  /** With `invalid_payload`: what of the payload is wrong. */
  readonly issues?: readonly Issue[];
  /** With `rate_limited`, in milliseconds. */
  readonly retryAfterMs?: number;

  constructor(error: Omit<ErrorPayload, 'code'> & { code: MooringErrorCode }) {
    super(error.message);
    this.code = error.code;
    this.retryable = error.retryable;
    if (error.issues) this.issues = error.issues;
    if (error.retryAfterMs !== undefined) this.retryAfterMs = error.retryAfterMs;
  }
}

export function closedError(): MooringError {
  return new MooringError({
    code: 'closed',
    message: 'It was left before an answer came.',
    retryable: false,
  });
}
