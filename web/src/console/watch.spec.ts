import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { AdminSessionDetail, AdminStats } from '../../../src/ops/admin.api.js';
import { Problem, Refused, Unreachable, type PageQuery } from './admin.client.js';
import { Watch } from './watch.js';

/** A gateway of the test: what it is asked is noted, and what it throws is set. */
class TestAdmin {
  readonly asked: PageQuery[] = [];
  error?: Error;
  missing = false;
  at = 0;

  async stats(): Promise<AdminStats> {
    if (this.error) throw this.error;
    this.at += 1;
    return { at: this.at } as AdminStats;
  }

  async history() {
    return { everyMs: 2_000, samples: [] };
  }

  async sessions(query: PageQuery) {
    this.asked.push(query);
    return { sessions: [], nextCursor: `after-${query.cursor ?? 'the first'}` };
  }

  async session(sessionId: string): Promise<AdminSessionDetail> {
    if (this.missing) throw new Problem('session_not_found', 'none');
    return { sessionId } as AdminSessionDetail;
  }
}

describe('the watch', () => {
  let admin: TestAdmin;
  let watch: Watch;

  beforeEach(async () => {
    jest.useFakeTimers();
    admin = new TestAdmin();
    watch = new Watch(admin);
    watch.start();
    await jest.advanceTimersByTimeAsync(0);
  });
  afterEach(() => {
    watch.stop();
    jest.useRealTimers();
  });

  it('[ADM-9] looks every two seconds, until it is stopped', async () => {
    expect(watch.state).toMatchObject({ link: 'live', stats: { at: 1 } });
    await jest.advanceTimersByTimeAsync(4_000);
    expect(watch.state.stats).toEqual({ at: 3 });
    watch.stop();
    await jest.advanceTimersByTimeAsync(10_000);
    expect(admin.at).toBe(3);
  });

  it('[ADM-9] keeps what it knew while nobody answers, and asks again', async () => {
    admin.error = new Unreachable('gone');
    await jest.advanceTimersByTimeAsync(2_000);
    expect(watch.state).toMatchObject({ link: 'away', stats: { at: 1 }, sessions: { sessions: [] } });
    admin.error = undefined;
    await jest.advanceTimersByTimeAsync(2_000);
    expect(watch.state).toMatchObject({ link: 'live', stats: { at: 2 } });
  });

  it('[ADM-9] asks no more once its token is refused', async () => {
    admin.error = new Refused('refused');
    await jest.advanceTimersByTimeAsync(2_000);
    expect(watch.state.link).toBe('refused');
    admin.error = undefined;
    await jest.advanceTimersByTimeAsync(10_000);
    expect(admin.at).toBe(1);
  });

  it('[ADM-9] goes through pages and back; another filter begins at the first', async () => {
    watch.nextPage();
    await jest.advanceTimersByTimeAsync(0);
    watch.nextPage();
    await jest.advanceTimersByTimeAsync(0);
    expect(watch.state.page).toBe(3);
    watch.previousPage();
    await jest.advanceTimersByTimeAsync(0);
    watch.filter('orphaned');
    await jest.advanceTimersByTimeAsync(0);
    watch.previousPage();
    expect(admin.asked.map(({ state, cursor }) => [state, cursor])).toEqual([
      [undefined, undefined],
      [undefined, 'after-the first'],
      [undefined, 'after-after-the first'],
      [undefined, 'after-the first'],
      ['orphaned', undefined],
    ]);
    expect(watch.state.page).toBe(1);
  });

  it('[ADM-9] shows a session until it is gone; an answer to an older question is no news', async () => {
    watch.show('one');
    watch.show('two');
    await jest.advanceTimersByTimeAsync(0);
    expect(watch.state.shown).toEqual({ sessionId: 'two', detail: { sessionId: 'two' }, isGone: false });
    admin.missing = true;
    await jest.advanceTimersByTimeAsync(2_000);
    expect(watch.state).toMatchObject({ link: 'live', shown: { sessionId: 'two', isGone: true } });
    watch.show('three');
    watch.show(undefined);
    await jest.advanceTimersByTimeAsync(0);
    expect(watch.state.shown).toBeUndefined();
  });
});
