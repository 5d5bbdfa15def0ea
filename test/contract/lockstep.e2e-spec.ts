import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { memoryStore, NO_CHECKPOINTS, sqliteStore } from './embedded.stores.js';
import { operations } from './operations.js';
import { Performer } from './performer.js';

const SESSIONS = ['session-number-one', 'session-number-two'];

describe('memory and SQLite in lockstep', () => {
  it('[STO-1] answer alike, whatever is done to them', async () => {
    await fc.assert(
      fc.asyncProperty(operations(SESSIONS.length), async (list) => {
        const memory = new Performer(await memoryStore(), SESSIONS);
        const sqlite = new Performer(await sqliteStore({ checkpoints: NO_CHECKPOINTS }), SESSIONS);
        try {
          await memory.start();
          await sqlite.start();
          for (const operation of list) {
            const expected = await memory.perform(operation);
            expect({ operation, answer: await sqlite.perform(operation) }).toEqual({
              operation,
              answer: expected,
            });
          }
          for (const session of SESSIONS.keys()) {
            const expected = memory.nameless(await memory.read(session));
            expect(sqlite.nameless(await sqlite.read(session))).toEqual(expected);
          }
        } finally {
          await memory.under.close();
          await sqlite.under.close();
        }
      }),
      { numRuns: 100 },
    );
  });
});
