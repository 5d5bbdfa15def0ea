import fc from 'fast-check';
import type { WhenBusy } from '../../src/protocol.js';
import type { Ending } from '../../src/sessions/session.js';

/** What frontends, agents and time do to a store; small numbers name sessions, messages and positions. */
export type Operation = { session: number } & (
  | { do: 'open'; create: boolean }
  | { do: 'send'; message: number; text: number; whenBusy: WhenBusy; admit: boolean }
  | { do: 'retry'; retry: number; message?: number; text?: number }
  | { do: 'cancel'; turn?: number }
  | { do: 'end-waiting' }
  | { do: 'switch'; bob: boolean }
  | { do: 'close'; expired: boolean; unlessActiveMs?: number }
  | { do: 'claim' }
  | { do: 'next'; stale: boolean }
  | { do: 'say'; deltas: string[]; stale: boolean }
  | { do: 'end'; ending: Ending }
  | { do: 'release' }
  | { do: 'subscribe'; on: boolean }
  | { do: 'read'; back?: number; otherEpoch: boolean }
  | { do: 'messages'; before?: number; limit: number; maxBytes?: number; begun: boolean }
  | { do: 'list'; state?: 'attached' | 'detached' | 'orphaned'; idleMs?: number }
  | { do: 'due' }
  | { do: 'elapse'; ms: number }
);

const ENDINGS: Ending[] = [
  { state: 'completed', finishReason: 'stop' },
  { state: 'cancelled' },
  { state: 'interrupted', reason: 'message' },
  { state: 'failed', error: { code: 'provider_error', message: 'no', retryable: true } },
];
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const rarely = fc.nat(9).map((number) => number === 0);
const mostly = fc.nat(9).map((number) => number > 0);

/** @param sessions of how many sessions; with one of them nothing ever ends it */
export function operations(sessions: number): fc.Arbitrary<Operation[]> {
  const kind = <T extends Operation['do'], Values>(
    weight: number,
    name: T,
    values: { [Key in keyof Values]: fc.Arbitrary<Values[Key]> },
  ): { weight: number; arbitrary: fc.Arbitrary<Operation> } => ({
    weight,
    arbitrary: fc
      .record({ session: fc.nat(sessions - 1), ...values })
      .map((rest) => ({ do: name, ...rest }) as unknown as Operation),
  });
  const operation = fc.oneof(
    kind(12, 'send', {
      message: fc.nat(12),
      text: fc.nat(9).map((number) => (number === 0 ? 1 : 0)),
      whenBusy: fc.constantFrom<WhenBusy[]>('enqueue', 'enqueue', 'reject', 'interrupt'),
      admit: mostly,
    }),
    kind(12, 'say', {
      deltas: fc.array(fc.string({ maxLength: 4 }), { minLength: 1, maxLength: 4 }),
      stale: rarely,
    }),
    kind(10, 'next', { stale: rarely }),
    kind(8, 'end', { ending: fc.constantFrom(...ENDINGS) }),
    kind(6, 'claim', {}),
    kind(6, 'read', { back: maybe(fc.nat(20)), otherEpoch: rarely }),
    kind(3, 'retry', { retry: fc.nat(3), message: maybe(fc.nat(12)), text: maybe(fc.nat(1)) }),
    kind(3, 'cancel', { turn: maybe(fc.nat(20)) }),
    kind(3, 'subscribe', { on: fc.boolean() }),
    kind(3, 'messages', {
      before: maybe(fc.nat(12)),
      limit: fc.integer({ min: 1, max: 6 }),
      maxBytes: maybe(fc.nat(1000)),
      begun: fc.boolean(),
    }),
    kind(2, 'list', {
      state: maybe(fc.constantFrom('attached', 'detached', 'orphaned')),
      idleMs: maybe(fc.nat(40_000)),
    }),
    kind(2, 'elapse', { ms: fc.constantFrom(1, 1_000, 20_000, 70_000) }),
    kind(1, 'release', {}),
    kind(1, 'due', {}),
    kind(1, 'switch', { bob: fc.boolean() }),
    kind(1, 'end-waiting', {}),
    kind(sessions > 1 ? 3 : 0, 'open', { create: fc.boolean() }),
    kind(sessions > 1 ? 1 : 0, 'close', { expired: fc.boolean(), unlessActiveMs: maybe(fc.nat(30_000)) }),
  );
  return fc.array(operation, { minLength: 10, maxLength: 120, size: 'max' });
}
