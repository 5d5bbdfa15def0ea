import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const MAIN = fileURLToPath(new URL('../bench/main.ts', import.meta.url));

interface Measured {
  contender: string;
  figures: Record<string, number>;
  lostAnswers: number;
  error?: string;
}

function run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

describe('the benchmark', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'bench-spec-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('compares a relay, the AI SDK and the gateway without losing a token', async () => {
    const [json, svg] = [join(folder, 'figures.json'), join(folder, 'figures.svg')];
    const contenders = ['socketio-relay', 'ws-relay', 'ai-stream-text', 'mooring-memory', 'mooring-sqlite'];
    const only = ['full', ...contenders].join();
    const { code, stdout } = await run('--size', 'tiny', '--only', only, '--json', json, '--svg', svg);
    expect(code).toBe(0);
    expect(stdout).toContain('CPU of the server per upstream token');
    const { measurements } = JSON.parse(readFileSync(json, 'utf8')) as { measurements: Measured[] };
    expect(measurements.map(({ contender }) => contender)).toEqual(contenders);
    for (const { figures, lostAnswers, error } of measurements) {
      expect(error).toBeUndefined();
      expect(lostAnswers).toBe(0);
      expect(figures['cpu']).toBeGreaterThan(0);
    }
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
  });

  it('refuses what it does not know, with its help', async () => {
    const { code, stderr } = await run('--only', 'nonsense');
    expect(code).toBe(2);
    expect(stderr).toContain('but not nonsense');
    expect(stderr).toContain('--quick');
    expect((await run('--fast')).stderr).toContain("'--fast'");
  });
});
