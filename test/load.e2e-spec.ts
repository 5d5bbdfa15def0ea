import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { isBroken, table } from '../load/report.js';

const MAIN = fileURLToPath(new URL('../load/main.ts', import.meta.url));

/** The load run as `npm run load` starts it. */
function load(...words: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

describe('the load run', () => {
  it('[LIM-16] everybody who comes at once is let in, and no stream is cut', async () => {
    const { code, stdout } = await load('--size', 'tiny', '--scenario', 'storm');
    expect(`${code}\n${stdout}`).toMatch(/^0\n[^]*every limit holds/);
  }, 120_000);

  it('[LIM-6] [LIM-17] who does not read is cut off, and comes back to all of it', async () => {
    const { code, stdout } = await load('--size', 'tiny', '--scenario', 'slow-readers');
    expect(`${code}\n${stdout}`).toMatch(/^0\n[^]*every limit holds/);
  }, 120_000);

  it('[OPS-7] [STO-2] SIGTERM amid streams, once and twice, loses nothing', async () => {
    const { code, stdout } = await load('--size', 'tiny', '--scenario', 'drain');
    expect(`${code}\n${stdout}`).toMatch(/^0\n[^]*every limit holds/);
  }, 120_000);

  it('says beside each figure what it may be, and whether that holds', () => {
    const figures = [
      { what: 'one', value: 3, limit: 3 },
      { what: 'another', value: 250.4, unit: 'ms', limit: 250 },
      { what: 'a third', value: Infinity, unit: 'MB', limit: 1 },
      { what: 'told', value: 12_345 },
      { what: 'none', value: NaN, limit: 1 },
    ] as const;
    expect(figures.map(isBroken)).toEqual([false, true, true, false, true]);
    expect(table(figures).split('\n')).toEqual([
      '  one           3  ≤ 3       holds',
      '  another  250 ms  ≤ 250 ms  BROKEN',
      '  a third   never  ≤ 1.0 MB  BROKEN',
      '  told     12,345',
      '  none      never  ≤ 1       BROKEN',
    ]);
  });

  it('refuses what it does not know, readably, and lists its scenarios', async () => {
    expect(await load('--scenario', 'calm')).toMatchObject({
      code: 2,
      stderr: '--scenario calm: there is none; there are storm, slow-readers, drain, dead-peers\n',
    });
    expect(await load('--size', 'huge')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/full or tiny/),
    });
    expect((await load('--lots')).code).toBe(2);
    expect((await load('--list')).stdout).toMatch(/^storm +10000 clients connect at once/);
    expect((await load('--help')).stdout).toContain('npm run load');
  });
});
