import { afterEach, beforeEach, describe } from '@jest/globals';
import { describeFeed } from './feed.contract.js';
import { describeReplay } from './replay.contract.js';
import { describeReplayProperty } from './replay.property.js';
import { describeOwners } from './owners.contract.js';
import { describeSessions } from './sessions.contract.js';
import type { StoreUnderTest } from './store.driver.js';
import { describeTurns } from './turns.contract.js';

/**
 * What every engine must do behind the ports SessionStore, TurnLease and SessionFeed, and nothing of how.
 * @param makeStore makes an empty one for each test
 */
export function describeSessionStore(name: string, makeStore: () => Promise<StoreUnderTest>): void {
  describe(`[STO-1] the session store on ${name}`, () => {
    let under: StoreUnderTest;
    const get = (): StoreUnderTest => under;
    beforeEach(async () => {
      under = await makeStore();
    });
    afterEach(() => under.close());

    describeSessions(get);
    describeOwners(get);
    describeTurns(get);
    describeReplay(get);
    describeReplayProperty(get);
    describeFeed(get);
  });
}
