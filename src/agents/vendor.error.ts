import { types } from 'node:util';
import { AISDKError, APICallError, InvalidResponseDataError } from '@ai-sdk/provider';
import type { TurnErrorCode } from '../protocol.js';
import { ModelError } from './model.provider.js';

/** What clients are shown of a vendor's own words. */
const VENDOR_MESSAGE_LENGTH = 200;

const CONTEXT_OVERFLOW = /context_length|context length|context window|context size|prompt is too long/i;
const CONTENT_FILTER = /content_filter|content_policy/i;

/** undici's own limits, 5 minutes each, which matter only where the configured ones are longer. */
const TIMEOUT_CODES: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/** How fetch says that it found no answer, and that an answer was cut. */
const FETCH_FAILURES: ReadonlySet<string> = new Set(['fetch failed', 'terminated']);

/**
 * What went wrong, in the contract's words. It holds no credentials, and no `cause`, since the SDK's errors
 * hold the request's content.
 * @param error what the AI SDK threw, or what its stream gave as an error: the vendor's own words, or the SDK's
 * @throws the error itself if it is none of a vendor
 */
export function toModelError(error: unknown, apiKey?: string): ModelError {
  if (error instanceof ModelError) return error;
  if (APICallError.isInstance(error) && error.statusCode !== undefined && error.statusCode >= 400) {
    return refused(error.statusCode, vendorWords(error, apiKey), retryAfterMs(error.responseHeaders ?? {}));
  }
  const networkCode = findNetworkCode(error);
  if (networkCode !== undefined && TIMEOUT_CODES.has(networkCode)) {
    return new ModelError('provider_timeout', "The model's vendor sent nothing.", { retryable: true });
  }
  if (networkCode !== undefined) {
    const message = `The connection to the model's vendor failed (${networkCode}).`;
    return new ModelError('provider_error', message, { retryable: true, repeatable: true });
  }
  if (InvalidResponseDataError.isInstance(error) && error.data === undefined) return truncated();
  if (AISDKError.isInstance(error)) {
    const message = "The model's vendor sent something that cannot be read.";
    return new ModelError('provider_error', message, { retryable: true });
  }
  if (types.isNativeError(error)) throw error;
  // An error amid the stream, in the vendor's words; some give it the status that it should have had.
  const words = wordsOf({ error }, apiKey);
  const status = words.codes.map(Number).find((code) => code >= 400 && code < 600);
  return refused(status ?? 200, words, undefined);
}

interface VendorWords {
  text: string;
  /** Its `code` and `type`. */
  codes: string[];
}

/** @param status the HTTP status, or 200 if an error came within the stream */
function refused(status: number, { text, codes }: VendorWords, retryAfterMs: number | undefined): ModelError {
  const code = codes.join(' ');
  const says = text === '' ? '' : `: ${text}`;
  const fail = (kind: TurnErrorCode, message: string, options: ModelError['options'] = {}): ModelError =>
    new ModelError(kind, message, options);
  // Not in the vendor's words, which tell a part of the key.
  if (status === 401 || status === 403) {
    return fail('provider_unauthorized', `The model's vendor refused the credentials (${status}).`);
  }
  const options = { retryable: true, repeatable: true, retryAfterMs };
  if (status === 429) {
    return fail('provider_rate_limited', `The model's vendor limits the rate${says}`, options);
  }
  if (status >= 500) {
    return fail('provider_error', `The model's vendor failed (${status})${says}`, options);
  }
  if (CONTEXT_OVERFLOW.test(`${code} ${text}`)) {
    return fail('context_overflow', `The conversation is too long for the model${says}`);
  }
  if (CONTENT_FILTER.test(code)) return fail('content_filter', `The vendor's content filter refused${says}`);
  if (status === 200) {
    return fail('provider_error', `The model's vendor broke off${says}`, { retryable: true });
  }
  return fail('provider_error', `The model's vendor refused the request (${status})${says}`);
}

function vendorWords(error: APICallError, apiKey: string | undefined): VendorWords {
  const words = wordsOf(parse(error.responseBody ?? ''), apiKey);
  return words.text === '' ? { ...words, text: publicText(error.message, apiKey) } : words;
}

/** `{error: {message, code, type}}` as OpenAI has it, and `{error: text}` and `{message, code}` as others do. */
function wordsOf(body: unknown, apiKey: string | undefined): VendorWords {
  const outer = isRecord(body) ? body : {};
  const inner = typeof outer.error === 'string' ? { message: outer.error } : (outer.error ?? outer);
  const { message, code, type } = isRecord(inner) ? inner : {};
  return {
    text: typeof message === 'string' ? publicText(message, apiKey) : '',
    codes: [code, type].filter((one) => typeof one === 'string' || typeof one === 'number').map(String),
  };
}

function publicText(text: string, apiKey: string | undefined): string {
  const safe = apiKey ? text.replaceAll(apiKey, '***') : text;
  return safe.replace(/\s+/g, ' ').trim().slice(0, VENDOR_MESSAGE_LENGTH).toWellFormed();
}

/** From `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date. */
function retryAfterMs(headers: Record<string, string>): number | undefined {
  const { 'retry-after-ms': inMs, 'retry-after': after } = headers;
  if (inMs !== undefined && Number.isFinite(Number(inMs))) return Math.max(0, Number(inMs));
  if (after === undefined) return undefined;
  const ms = /^\d/.test(after) ? Number(after) * 1_000 : Date.parse(after) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/**
 * The code of what a fetch failed of, such as ECONNREFUSED; undefined if no fetch failed. By name, not by
 * class: under jest, fetch's errors are of another realm.
 */
function findNetworkCode(error: unknown): string | undefined {
  let failed = false;
  let code = 'network error';
  for (let cause = error; types.isNativeError(cause); cause = cause.cause) {
    failed ||= cause.name === 'TypeError' && FETCH_FAILURES.has(cause.message);
    failed ||= APICallError.isInstance(cause) && cause.isRetryable;
    if ('code' in cause && typeof cause.code === 'string') code = cause.code;
  }
  return failed ? code : undefined;
}

export function truncated(): ModelError {
  return new ModelError('provider_error', "The model's answer ended before its finish.", { retryable: true });
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
