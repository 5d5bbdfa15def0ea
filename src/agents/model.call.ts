import { ModelError, type ModelPart, type ModelProvider, type ModelRequest } from './model.provider.js';
import type { AttemptEnd, AttemptStart, AttemptWatch } from './turn.observer.js';

/** A vendor that asks for more than this is left alone: a user waits. */
const LONGEST_RETRY_AFTER_MS = 30_000;

/** Two repeats, as vendors' own clients make them. */
const RETRY_DELAYS_MS: readonly number[] = [500, 1_000];

/** Past it Node fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface CallLimits {
  /** Per attempt, from its start, connecting included, to the first part other than `begin`. */
  firstByteTimeoutMs: number;
  /** Between later parts. */
  idleTimeoutMs: number;
  /** What is left of the turn's time; no repeat is waited for that would begin after it. */
  remainingMs?: () => number;
  /** How long to wait before each repeat where the vendor does not say. */
  retryDelaysMs?: readonly number[];
}

/**
 * One model step: the provider's parts, with timeouts, and with 429, 5xx and connection errors repeated for
 * as long as no content (text, reasoning, a tool call) has come. `begin` comes once at most, `finish` last;
 * no part comes once the signal is aborted or this has settled.
 * @throws ModelError, `provider_timeout` and a stream that ended before its finish among them
 * @throws the signal's reason promptly once it is aborted, even if the provider ignores it; the vendor's
 *   request is aborted with it
 * @throws what `onPart` throws, which ends the call
 * @param observe is told of each attempt
 */
export async function callModel(
  provider: ModelProvider,
  request: ModelRequest,
  signal: AbortSignal,
  limits: CallLimits,
  onPart: (part: ModelPart) => void,
  observe?: (start: AttemptStart) => AttemptWatch,
): Promise<void> {
  let began = false;
  for (let repeats = 0; ; repeats += 1) {
    let hasContent = false;
    let delayMs: number | undefined;
    const end: AttemptEnd = {};
    signal.throwIfAborted();
    const watch = observe?.({ ...provider.system, ...(request.model && { model: request.model }), repeats });
    try {
      await attempt(provider, request, signal, limits, (part) => {
        if (part.type !== 'begin') {
          if (!hasContent) watch?.firstPart();
          hasContent = true;
          if (part.type === 'finish') Object.assign(end, { reason: part.reason, usage: part.usage });
        } else if (began) return;
        else began = true;
        onPart(part);
      });
      watch?.ended(end);
      return;
    } catch (error) {
      watch?.ended({ ...end, error: signal.aborted ? 'aborted' : codeOf(error) });
      signal.throwIfAborted();
      delayMs = hasContent ? undefined : repeatDelayMs(error, repeats, limits);
      if (delayMs === undefined) throw error;
    }
    await sleep(delayMs, signal);
  }
}

/** @throws the signal's reason as soon as it is aborted */
export function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      if (signal.aborted) reject(signal.reason as Error);
      else resolve();
    };
    const timer = setTimeout(end, delayMs);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
  });
}

function attempt(
  provider: ModelProvider,
  request: ModelRequest,
  signal: AbortSignal,
  limits: CallLimits,
  onPart: (part: ModelPart) => void,
): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    let settled = false;
    let hasContent = false;
    const settle = (): void => {
      settled = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: Error): void => {
      if (settled) return;
      settle();
      controller.abort(error);
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason as Error);
    const failAfter = (ms: number): NodeJS.Timeout =>
      setTimeout(() => fail(silent(ms)), Math.min(ms, LONGEST_TIMER_MS));
    const take = (part: ModelPart): void => {
      if (settled) return;
      if (part.type !== 'begin') {
        // Of one timer, since there is a part for each token.
        if (hasContent) timer.refresh();
        else {
          clearTimeout(timer);
          timer = failAfter(limits.idleTimeoutMs);
          hasContent = true;
        }
      }
      try {
        onPart(part);
      } catch (error) {
        fail(error as Error);
      }
      if (part.type !== 'finish' || settled) return;
      // What has finished is not aborted, so that its connection can be used again.
      settle();
      resolve();
    };
    let timer = failAfter(limits.firstByteTimeoutMs);
    signal.addEventListener('abort', onAbort);
    provider.stream(request, controller.signal, take).then(() => {
      if (!settled) fail(endedEarly());
    }, fail);
  });
}

function codeOf(error: unknown): string {
  return error instanceof ModelError ? error.code : 'internal';
}

/** Undefined: not repeated. */
function repeatDelayMs(error: unknown, repeats: number, limits: CallLimits): number | undefined {
  if (!(error instanceof ModelError) || !error.options.repeatable) return undefined;
  const usualMs = (limits.retryDelaysMs ?? RETRY_DELAYS_MS)[repeats];
  if (usualMs === undefined) return undefined;
  const delayMs = error.options.retryAfterMs ?? usualMs;
  const tooLong = delayMs > LONGEST_RETRY_AFTER_MS || (limits.remainingMs && delayMs >= limits.remainingMs());
  return tooLong ? undefined : delayMs;
}

function silent(forMs: number): ModelError {
  return new ModelError('provider_timeout', `The model's vendor sent nothing for ${forMs / 1000} s.`, {
    retryable: true,
  });
}

function endedEarly(): ModelError {
  return new ModelError('provider_error', "The model's answer ended before its finish.", { retryable: true });
}
