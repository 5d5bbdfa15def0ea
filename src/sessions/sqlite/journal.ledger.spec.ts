import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { JournalLedger } from './journal.ledger.js';

const session = fc.constantFrom('a', 'b', 'c');
/** One transaction: sessions that had events in it, and those whose events went into a segment. */
const transactions = fc.array(
  fc.record({ held: fc.uniqueArray(session), released: fc.uniqueArray(session), bytes: fc.nat(100) }),
  { maxLength: 60 },
);

describe('the journal ledger', () => {
  it('keeps each row that a session needs, and lets go of all before the first of them', () => {
    fc.assert(
      fc.property(transactions, fc.integer({ min: 1, max: 5 }), (list, limit) => {
        const ledger = new JournalLedger(7);
        const kept = new Map<number, Set<string>>([[7, new Set()]]);
        for (const { held, released, bytes } of list) {
          if (held.length > 0) {
            kept.set(ledger.next, new Set(held));
            ledger.wrote(bytes);
          }
          for (const id of held) ledger.hold(id);
          for (const id of released) {
            ledger.release(id);
            for (const needed of kept.values()) needed.delete(id);
          }
          const rows = ledger.prunable(limit);
          if (!rows) continue;
          expect(rows.to - rows.from).toBeLessThanOrEqual(limit);
          for (let row = rows.from; row < rows.to; row += 1) {
            expect(kept.get(row)).toEqual(new Set());
            kept.delete(row);
          }
          ledger.pruned(rows.to);
        }
        const newest = ledger.next - 1;
        expect(kept.has(newest)).toBe(true);
        for (let rows = ledger.prunable(1); rows; rows = ledger.prunable(1)) {
          kept.delete(rows.from);
          ledger.pruned(rows.to);
        }
        const [first, needed] = [...kept][0] ?? [];
        expect(first === newest || (needed?.size ?? 0) > 0).toBe(true);
      }),
    );
  });

  it('names those for whose sake more than the bound is kept', () => {
    const ledger = new JournalLedger(0);
    ledger.wrote(10);
    ledger.hold('early');
    ledger.wrote(10);
    ledger.hold('early');
    ledger.hold('late');
    ledger.wrote(10);
    expect(ledger.overdue(30)).toEqual([]);
    expect(ledger.overdue(29)).toEqual(['early']);
    expect(ledger.overdue(19)).toEqual(['early', 'late']);
    ledger.release('early');
    expect(ledger.overdue(19)).toEqual(['late']);
    expect(ledger.prunable(10)).toEqual({ from: 0, to: 2 });
  });
});
