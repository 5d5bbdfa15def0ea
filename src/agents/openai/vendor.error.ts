import type { TurnErrorCode } from '../../protocol.js';
import { isRecord, parsed } from '../../sessions/json.js';
import { ModelError } from '../model.provider.js';

/** What clients are shown of a vendor's own words. */
const VENDOR_MESSAGE_LENGTH = 200;

const CONTEXT_OVERFLOW = /context_length|context length|context window|context size|prompt is too long/i;
const CONTENT_FILTER = /content_filter|content_policy/i;

/**
 * An answer that is none: the status of the response and its body. Errors hold no credentials, and no `cause`.
 * @param status 300 or more
 */
export function toRefusal(
  status: number,
  headers: Record<string, string | string[] | undefined>,
  body: string,
  apiKey: string | undefined,
): ModelError {
  if (status < 400) {
    const message = `The model's vendor sends elsewhere (${status}): OPENAI_BASE_URL must name the place itself.`;
    return new ModelError('provider_error', message);
  }
  return refused(status, wordsOf(parsed(body), apiKey), retryAfterMs(headers));
}

/** An error amid the stream, in the vendor's words; some give it the status that it should have had. */
export function toStreamError(error: unknown, apiKey: string | undefined): ModelError {
  const words = wordsOf({ error }, apiKey);
  const status = words.codes.map(Number).find((code) => code >= 400 && code < 600);
  return refused(status ?? 200, words, undefined);
}

/** A connection that could not be made, that broke, or on which something spoke that is no HTTP. */
export function toNetworkError(error: Error): ModelError {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  const message = `The connection to the model's vendor failed (${code}).`;
  return new ModelError('provider_error', message, { retryable: true, repeatable: true });
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
function retryAfterMs(headers: Record<string, string | string[] | undefined>): number | undefined {
  const [inMs, after] = ['retry-after-ms', 'retry-after'].map((name) => [headers[name]].flat()[0]);
  if (inMs !== undefined && Number.isFinite(Number(inMs))) return Math.max(0, Number(inMs));
  if (after === undefined) return undefined;
  const ms = /^\d/.test(after) ? Number(after) * 1_000 : Date.parse(after) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

export function truncated(): ModelError {
  return new ModelError('provider_error', "The model's answer ended before its finish.", { retryable: true });
}
