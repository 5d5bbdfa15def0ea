import { describe, expect, it } from '@jest/globals';
import { StoreUnavailable } from '../session.store.js';
import { GroupCommit } from './group.commit.js';

function fault(errcode: number): Error {
  return Object.assign(new Error('the engine says no'), { code: 'ERR_SQLITE_ERROR', errcode });
}
const FULL = 13;
const CONSTRAINT = 19;

describe('a group commit', () => {
  it('writes what comes in one turn of the event loop at once and in order', async () => {
    const written: number[][] = [];
    const commits = new GroupCommit<number>((batches) => void written.push(batches));
    await Promise.all([commits.add(1), Promise.resolve().then(() => commits.add(2)), commits.add(3)]);
    await commits.add(4);
    expect(written).toEqual([[1, 3, 2], [4]]);
  });

  it('lets what is patient wait for company after a transaction, and go with what is not', async () => {
    const written: number[][] = [];
    const commits = new GroupCommit<number>((batches) => void written.push(batches));
    await commits.add(1, true);
    const patient = commits.add(2, true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toEqual([[1]]);
    await commits.add(3);
    await patient;
    expect(written).toEqual([[1], [2, 3]]);
    // Alone it goes by itself.
    await commits.add(4, true);
    expect(written).toEqual([[1], [2, 3], [4]]);
  });

  it('refuses them all where the engine is at fault, without trying again', async () => {
    let calls = 0;
    const commits = new GroupCommit<number>(() => {
      calls += 1;
      throw fault(FULL);
    });
    const results = await Promise.allSettled([commits.add(1), commits.add(2)]);
    for (const result of results) {
      expect(result.status === 'rejected' && result.reason).toBeInstanceOf(StoreUnavailable);
    }
    expect(calls).toBe(1);
  });

  it('spares the neighbours of a batch that is itself at fault', async () => {
    const kept: number[] = [];
    const commits = new GroupCommit<number>((batches) => {
      if (batches.includes(2)) throw fault(CONSTRAINT);
      kept.push(...batches);
    });
    const results = await Promise.allSettled([commits.add(1), commits.add(2), commits.add(3)]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(kept).toEqual([1, 3]);
    await expect(commits.add(2)).rejects.not.toBeInstanceOf(StoreUnavailable);
  });

  it('writes at once when it is asked to, and once', async () => {
    const written: number[][] = [];
    const commits = new GroupCommit<number>((batches) => void written.push(batches));
    const added = commits.add(1);
    commits.flush();
    expect(written).toEqual([[1]]);
    await added;
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toEqual([[1]]);
  });
});
