import { isRetryable, type ErrorCode, type ErrorPayload, type Issue } from '../protocol.js';

/** A request that cannot be served, in the contract's words; its message is meant for the client. */
export class RequestError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: { issues?: Issue[]; retryAfterMs?: number } = {},
  ) {
    super(message);
    this.name = 'RequestError';
  }

  toPayload(): ErrorPayload {
    return { code: this.code, message: this.message, retryable: isRetryable(this.code), ...this.details };
  }

  /** Unknown, expired, closed, another's, or a wrong key: a client cannot tell which. */
  static sessionNotFound(): RequestError {
    return new RequestError('session_not_found', 'There is no such session, or it is not open here.');
  }

  static invalid(path: string, message: string): RequestError {
    return new RequestError('invalid_payload', `${path || 'payload'}: ${message}`, {
      issues: [{ path, message }],
    });
  }
}
