import { ModelError, type ModelPart, type ModelProvider, type ModelRequest } from './model.provider.js';

/** A vendor that asks for more than this is left alone: a user waits. */
const LONGEST_RETRY_AFTER_MS = 30_000;

/** Two repeats, as vendors' own clients make them. */
const RETRY_DELAYS_MS: readonly number[] = [500, 1_000];

/** Past it Node fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface CallLimits {
  /** Per attempt, from its start, connecting included, to the first part other than `begin`. */
  firstByteTimeoutMs: number;
  /** Between later parts; the time that the consumer takes does not count. */
  idleTimeoutMs: number;
  /** What is left of the turn's time; no repeat is waited for that would begin after it. */
  remainingMs?: () => number;
  /** How long to wait before each repeat where the vendor does not say. */
  retryDelaysMs?: readonly number[];
}

/**
 * One model step: the provider's parts, with timeouts, and with 429, 5xx and connection errors repeated for
 * as long as no content (text, reasoning, a tool call) has come. `begin` comes once at most, `finish` last.
 * @throws ModelError, `provider_timeout` and a stream that ended before its finish among them
 * @throws the signal's reason promptly once it is aborted, even if the provider ignores it; the vendor's
 *   request is aborted with it, and also if the consumer leaves early
 */
export async function* callModel(
  provider: ModelProvider,
  request: ModelRequest,
  signal: AbortSignal,
  limits: CallLimits,
): AsyncGenerator<ModelPart, void, undefined> {
  let began = false;
  for (let repeats = 0; ; repeats += 1) {
    let hasContent = false;
    let delayMs: number | undefined;
    try {
      for await (const part of attempt(provider, request, signal, limits)) {
        if (part.type === 'begin' && began) continue;
        if (part.type === 'begin') began = true;
        else hasContent = true;
        yield part;
      }
      return;
    } catch (error) {
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

async function* attempt(
  provider: ModelProvider,
  request: ModelRequest,
  signal: AbortSignal,
  limits: CallLimits,
): AsyncGenerator<ModelPart, void, undefined> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const wait = new Wait(signal, () => controller.abort(signal.reason));
  let parts: AsyncIterator<ModelPart> | undefined;
  let finished = false;
  try {
    parts = provider.stream(request, controller.signal)[Symbol.asyncIterator]();
    let hasContent = false;
    let firstByteLeftMs = limits.firstByteTimeoutMs;
    while (!finished) {
      signal.throwIfAborted();
      const startedAt = performance.now();
      const next: IteratorResult<ModelPart, unknown> = await wait.until(
        parts.next(),
        hasContent ? limits.idleTimeoutMs : firstByteLeftMs,
        () => {
          const error = silent(hasContent ? limits.idleTimeoutMs : limits.firstByteTimeoutMs);
          controller.abort(error);
          return error;
        },
      );
      // A provider may also end when it is aborted.
      signal.throwIfAborted();
      if (next.done) throw endedEarly();
      if (!hasContent) firstByteLeftMs -= performance.now() - startedAt;
      hasContent ||= next.value.type !== 'begin';
      finished = next.value.type === 'finish';
      yield next.value;
    }
  } finally {
    wait.dispose();
    // What has finished is not aborted, so that its connection can be used again.
    if (!finished) controller.abort();
    if (parts) void release(parts);
  }
}

/** Not awaited by its caller: a provider that hangs would hang it too. */
async function release(parts: AsyncIterator<ModelPart>): Promise<void> {
  try {
    await parts.return?.();
  } catch {
    // It was told to stop, and how it takes that concerns nobody any more.
  }
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

/**
 * Waits for one thing after another, each with a time limit, until a signal is aborted. One listener serves
 * all waits: racing a promise of the signal for each part of a stream would grow its list of reactions.
 */
class Wait {
  #reject?: (reason: Error) => void;
  readonly #onAbort: () => void;

  constructor(
    private readonly signal: AbortSignal,
    onAbort: () => void,
  ) {
    this.#onAbort = () => {
      onAbort();
      this.#reject?.(this.signal.reason as Error);
    };
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** @param onTimeout called if it takes longer, for the error */
  until<Value>(work: Promise<Value>, limitMs: number, onTimeout: () => Error): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      const fail = (reason: Error): void => {
        clearTimeout(timer);
        reject(reason);
      };
      const timer = setTimeout(() => reject(onTimeout()), Math.min(limitMs, LONGEST_TIMER_MS));
      this.#reject = fail;
      // Also when it comes too late: its rejection is then handled and ignored.
      work.then((value) => {
        clearTimeout(timer);
        resolve(value);
      }, fail);
      if (this.signal.aborted) fail(this.signal.reason as Error);
    });
  }

  dispose(): void {
    this.#reject = undefined;
    this.signal.removeEventListener('abort', this.#onAbort);
  }
}
