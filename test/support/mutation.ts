import type { Dice } from './fuzz.js';

/** Strings at the edges of what a field takes. */
export const STRINGS: readonly ((dice: Dice) => string)[] = [
  () => '',
  () => ' ',
  () => '\u0000',
  () => 'a\ud800b',
  () => '\udc00\ud800',
  () => '\uFEFF',
  () => '\u202E txet',
  () => '__proto__',
  () => 'constructor',
  () => 'null',
  () => '-1',
  () => '../../etc/passwd',
  () => "'; DROP TABLE sessions; --",
  () => '👩‍👩‍👧‍👦'.repeat(6),
  () => 'ﬀİſ',
  (dice) => dice.letters(dice.pick([1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129])),
  () => 'x'.repeat(32_000),
  () => 'x'.repeat(32_001),
  () => '錨'.repeat(32_000),
];

/** JSON of every type, and some that are at its edges. */
export const VALUES: readonly ((dice: Dice) => unknown)[] = [
  () => null,
  () => true,
  () => false,
  () => 0,
  () => -1,
  () => 1,
  () => 100,
  () => 101,
  () => 0.5,
  () => 1e308,
  () => Number.MAX_SAFE_INTEGER,
  () => Number.MAX_SAFE_INTEGER + 1,
  () => [],
  () => [[]],
  () => ({}),
  () => ({ length: 20 }),
  () => ({ toString: 'no function', then: 1 }),
  () => ['a'],
  (dice) => dice.pick(STRINGS)(dice),
  (dice) => dice.pick(STRINGS)(dice),
  (dice) => dice.pick(STRINGS)(dice),
];

export function anyValue(dice: Dice): unknown {
  return dice.pick(VALUES)(dice);
}

/** Something is changed somewhere within it: a field goes, doubles, moves, or becomes something else. */
export function mutateValue(dice: Dice, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || dice.chance(0.1)) return anyValue(dice);
  if (Array.isArray(value)) {
    const list: unknown[] = [...(value as unknown[])];
    if (list.length === 0) return [anyValue(dice)];
    const at = dice.int(0, list.length - 1);
    switch (dice.int(0, 3)) {
      case 0:
        list.splice(at, 1);
        return list;
      case 1:
        return [...list, list[at]];
      default:
        return list.with(at, mutateValue(dice, list[at]));
    }
  }
  const record = { ...(value as Record<string, unknown>) };
  const keys = Object.keys(record);
  const key = keys.length === 0 ? 'key' : dice.pick(keys);
  switch (dice.int(0, 4)) {
    case 0:
      delete record[key];
      return record;
    case 1:
      return { ...record, [dice.pick(['extra', 'toString', 'then', '', 'length', 'a.b'])]: anyValue(dice) };
    case 2:
      return { ...record, [key]: anyValue(dice) };
    default:
      return { ...record, [key]: mutateValue(dice, record[key]) };
  }
}
