import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { callModel, sleep, type CallLimits } from './model.call.js';
import { ModelError, ModelProvider, type ModelPart, type ModelRequest } from './model.provider.js';

const REQUEST: ModelRequest = { prompt: [], tools: [] };
const LIMITS: CallLimits = { firstByteTimeoutMs: 1_000, idleTimeoutMs: 300 };
const BEGIN: ModelPart = { type: 'begin' };
const TEXT: ModelPart = { type: 'text', text: 'hi' };
const FINISH: ModelPart = { type: 'finish', reason: 'stop' };
const STOP = new Error('stop');

type Attempt = (signal: AbortSignal) => AsyncIterable<ModelPart>;

/** Plays one script an attempt, the last one again and again. */
class FakeProvider extends ModelProvider {
  readonly description = 'fake';
  readonly signals: AbortSignal[] = [];

  constructor(private readonly attempts: Attempt[]) {
    super();
  }

  async stream(
    _request: ModelRequest,
    signal: AbortSignal,
    onPart: (part: ModelPart) => void,
  ): Promise<void> {
    const script = this.attempts[Math.min(this.signals.length, this.attempts.length - 1)] as Attempt;
    this.signals.push(signal);
    for await (const part of script(signal)) onPart(part);
  }
}

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

describe('callModel', () => {
  it('hands the parts on, and says nothing after the finish', async () => {
    const { provider, parts, done } = call([parted(BEGIN, TEXT, FINISH, TEXT)]);
    await done;
    expect(parts).toEqual([BEGIN, TEXT, FINISH]);
    expect(provider.signals[0]?.aborted).toBe(false);
  });

  it('[MOD-4] says that an answer ended before its finish', async () => {
    const { parts, done } = call([parted(BEGIN, TEXT)]);
    await expect(done).resolves.toMatchObject({ code: 'provider_error', options: { retryable: true } });
    expect(parts).toEqual([BEGIN, TEXT]);
  });

  it('takes no ModelError for its own: what else is thrown comes through, unrepeated', async () => {
    const bug = new TypeError('bug');
    const { provider, done } = call([failing(bug)]);
    await expect(done).resolves.toBe(bug);
    expect(provider.signals).toHaveLength(1);
  });
});

describe('[MOD-3] timeouts of callModel', () => {
  it('count the first byte from the start of the attempt, past begin', async () => {
    const { provider, done, settled } = call([timed([600, BEGIN], [600, TEXT])]);
    await jest.advanceTimersByTimeAsync(999);
    expect(settled()).toBe(false);
    await jest.advanceTimersByTimeAsync(1);
    await expect(done).resolves.toMatchObject({ code: 'provider_timeout', options: { retryable: true } });
    expect(provider.signals.map(({ aborted }) => aborted)).toEqual([true]);
    await jest.runAllTimersAsync();
  });

  it('count each later pause by itself', async () => {
    const { parts, done } = call([timed([999, TEXT], [299, TEXT], [299, TEXT], [301, FINISH])]);
    await jest.advanceTimersByTimeAsync(999 + 299 + 299 + 300);
    await expect(done).resolves.toMatchObject({ code: 'provider_timeout' });
    expect(parts).toHaveLength(3);
    await jest.runAllTimersAsync();
  });

  it('are never repeated', async () => {
    const { provider, done } = call([() => hung()]);
    await jest.advanceTimersByTimeAsync(60_000);
    await done;
    expect(provider.signals).toHaveLength(1);
  });
});

describe('[MOD-2] repeats of callModel', () => {
  const broken = (retryAfterMs?: number) =>
    failing(new ModelError('provider_error', '503', { repeatable: true, retryAfterMs }));

  it('come after 0.5 s and 1 s, and then no more', async () => {
    const { provider, done } = call([broken()]);
    const attemptsAfter = async (ms: number): Promise<number> => {
      await jest.advanceTimersByTimeAsync(ms);
      return provider.signals.length;
    };
    expect(await attemptsAfter(499)).toBe(1);
    expect(await attemptsAfter(1)).toBe(2);
    expect(await attemptsAfter(999)).toBe(2);
    expect(await attemptsAfter(1)).toBe(3);
    expect(await attemptsAfter(60_000)).toBe(3);
    await expect(done).resolves.toMatchObject({ message: '503' });
  });

  it('come after Retry-After, and the answer is whole', async () => {
    const { parts, done } = call([broken(2_000), broken(0), parted(BEGIN, TEXT, FINISH)]);
    await jest.advanceTimersByTimeAsync(1_999);
    expect(parts).toEqual([]);
    await jest.advanceTimersByTimeAsync(2);
    await done;
    expect(parts).toEqual([BEGIN, TEXT, FINISH]);
  });

  it.each([
    ['Retry-After is over 30 s', 30_001, undefined],
    ['Retry-After would pass the end of the turn', 2_000, 2_000],
    ['the usual delay would', undefined, 400],
  ])('do not come if %s', async (_why, retryAfterMs, leftMs) => {
    const remainingMs = leftMs === undefined ? undefined : () => leftMs;
    const { provider, done } = call([broken(retryAfterMs)], { remainingMs });
    await jest.advanceTimersByTimeAsync(60_000);
    await done;
    expect(provider.signals).toHaveLength(1);
  });

  it('come after begin, which is said once, with a new first-byte time', async () => {
    const cut = timed([900, BEGIN], [0, new ModelError('provider_error', 'reset', { repeatable: true })]);
    const { parts, done } = call([cut, timed([900, BEGIN], [0, TEXT], [0, FINISH])]);
    await jest.advanceTimersByTimeAsync(60_000);
    await done;
    expect(parts).toEqual([BEGIN, TEXT, FINISH]);
  });

  it.each<ModelPart>([
    TEXT,
    { type: 'reasoning', text: 'hm' },
    { type: 'tool-input-start', toolCallId: 'a', toolName: 'time' },
  ])('do not come after content: $type', async (content) => {
    const { provider, done } = call([
      timed([0, BEGIN], [0, content], [0, new ModelError('provider_error', 'reset', { repeatable: true })]),
    ]);
    await jest.advanceTimersByTimeAsync(60_000);
    await expect(done).resolves.toMatchObject({ message: 'reset' });
    expect(provider.signals).toHaveLength(1);
  });

  it('do not come if the provider does not call the error repeatable', async () => {
    const { provider, done } = call([failing(new ModelError('provider_error', '400', { retryable: true }))]);
    await jest.advanceTimersByTimeAsync(60_000);
    await done;
    expect(provider.signals).toHaveLength(1);
  });
});

describe('an abort of callModel', () => {
  it('is thrown before anything is asked', async () => {
    const { provider, controller, done } = call([parted(FINISH)], {}, true);
    expect(controller.signal.aborted).toBe(true);
    await expect(done).resolves.toBe(STOP);
    expect(provider.signals).toHaveLength(0);
  });

  it('is thrown at once even if the provider ignores it', async () => {
    const { provider, controller, done } = call([() => hung(BEGIN)]);
    await jest.advanceTimersByTimeAsync(10);
    controller.abort(STOP);
    await expect(done).resolves.toBe(STOP);
    expect(provider.signals[0]?.reason).toBe(STOP);
  });

  it('is its reason even if the provider ends or throws something else', async () => {
    const reacting: Attempt = async function* (signal) {
      yield TEXT;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    };
    const { controller, done } = call([reacting]);
    await jest.advanceTimersByTimeAsync(10);
    controller.abort(STOP);
    await expect(done).resolves.toBe(STOP);
  });

  it('ends the wait for a repeat', async () => {
    const { provider, controller, done } = call([
      failing(new ModelError('provider_rate_limited', '429', { repeatable: true, retryAfterMs: 20_000 })),
    ]);
    await jest.advanceTimersByTimeAsync(10_000);
    controller.abort(STOP);
    await expect(done).resolves.toBe(STOP);
    expect(provider.signals).toHaveLength(1);
  });

  it('lets no part through that comes after it', async () => {
    const stubborn: Attempt = async function* () {
      yield TEXT;
      await new Promise((resolve) => setTimeout(resolve, 20));
      yield TEXT;
    };
    const { controller, parts, done } = call([stubborn]);
    await jest.advanceTimersByTimeAsync(10);
    controller.abort(STOP);
    await expect(done).resolves.toBe(STOP);
    await jest.advanceTimersByTimeAsync(100);
    expect(parts).toEqual([TEXT]);
  });

  it('happens to the vendor if the consumer throws, whose error it is, and no listener stays', async () => {
    const controller = new AbortController();
    const removed = jest.spyOn(controller.signal, 'removeEventListener');
    const added = jest.spyOn(controller.signal, 'addEventListener');
    const provider = new FakeProvider([() => hung(BEGIN, TEXT)]);
    const done = callModel(provider, REQUEST, controller.signal, LIMITS, (part) => {
      if (part === TEXT) throw STOP;
    });
    await expect(done).rejects.toBe(STOP);
    expect(provider.signals[0]?.aborted).toBe(true);
    expect(removed.mock.calls).toHaveLength(added.mock.calls.length);
  });
});

describe('sleep', () => {
  it('lasts as long as asked, or until the abort', async () => {
    const controller = new AbortController();
    const first = sleep(100, controller.signal);
    await jest.advanceTimersByTimeAsync(100);
    await first;
    const second = sleep(100, controller.signal);
    controller.abort(STOP);
    await expect(second).rejects.toBe(STOP);
    await expect(sleep(100, controller.signal)).rejects.toBe(STOP);
  });
});

/** `done` gives what it threw, if anything. */
function call(attempts: Attempt[], limits: Partial<CallLimits> = {}, aborted = false) {
  const controller = new AbortController();
  if (aborted) controller.abort(STOP);
  const provider = new FakeProvider(attempts);
  const parts: ModelPart[] = [];
  let isSettled = false;
  const run = async (): Promise<unknown> => {
    try {
      const all = { ...LIMITS, ...limits };
      await callModel(provider, REQUEST, controller.signal, all, (part) => parts.push(part));
      return undefined;
    } catch (error) {
      return error;
    } finally {
      isSettled = true;
    }
  };
  return { provider, controller, parts, done: run(), settled: () => isSettled };
}

function parted(...parts: ModelPart[]): Attempt {
  return timed(...parts.map((part): [number, ModelPart] => [0, part]));
}

function failing(error: Error): Attempt {
  return timed([0, error]);
}

/** Each part, or the error to throw, after its pause in milliseconds. */
function timed(...steps: [number, ModelPart | Error][]): Attempt {
  return async function* () {
    for (const [pauseMs, step] of steps) {
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      if (step instanceof Error) throw step;
      yield step;
    }
  };
}

async function* hung(...parts: ModelPart[]): AsyncGenerator<ModelPart> {
  yield* parts;
  await new Promise(() => undefined);
}
