import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { mutated } from '../stress/mutations/mutated.js';
import { CLUSTER_MUTATIONS } from '../stress/mutations/mutations.cluster.js';
import { MUTATIONS } from '../stress/mutations/mutations.js';
import { redisMissing } from './support/redis.server.js';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const MAIN = fileURLToPath(new URL('../stress/main.ts', import.meta.url));

/** The stress run as `npm run stress` starts it. */
function stress(...words: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

async function findsNothing(...words: string[]): Promise<void> {
  const { code, stdout, stderr } = await stress(...words);
  // What it found, and the command that finds it again, stand in the message of a test that fails.
  expect(`${code} ${code === 0 ? '' : stdout}${stderr}`).toBe('0 ');
}

describe('the stress run', () => {
  it('[STO-2] [RES-2] [EVT-8] [TURN-1] [MSG-2] [CTX-1] [SES-3] finds no lie when everything is done at once', async () => {
    await findsNothing('--seed', '1', '--seconds', '5', '--scenario', 'everything');
  }, 120_000);

  const onRedis = redisMissing() === undefined ? it : it.skip;

  onRedis(
    '[CLU-3] [STO-7] [STO-6] [MSG-2] [RES-2] finds no lie when nodes and Redis are killed, frozen and cut off',
    async () => {
      await findsNothing('--seed', '1', '--seconds', '6', '--scenario', 'cluster');
    },
    180_000,
  );

  it('makes of one seed one plan, and of another another', async () => {
    const plan = async (seed: string) => (await stress('--plan', '--seed', seed, '--seconds', '24')).stdout;
    const [one, again, other] = [await plan('3'), await plan('3'), await plan('4')];
    expect(one.length).toBeGreaterThan(10_000);
    // Whole, though a pipe takes 64 KiB at once.
    expect(() => JSON.parse(one) as unknown).not.toThrow();
    expect(again).toBe(one);
    expect(other).not.toBe(one);
  });

  it('shares its seconds among what can be played on the store', async () => {
    const words = ['--plan', '--store', 'sqlite', '--seconds', '48'];
    const plans = JSON.parse((await stress(...words)).stdout) as { phases: { seconds: number }[] }[];
    const seconds = plans.flatMap(({ phases }) => phases.map((phase) => phase.seconds));
    expect(plans.length).toBeGreaterThan(5);
    expect(Math.abs(seconds.reduce((sum, each) => sum + each) - 48)).toBeLessThan(plans.length);
  });

  it('refuses what it does not know, readably', async () => {
    expect(await stress('--scenario', 'storm')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^--scenario storm: there is none; there are calm, /),
    });
    expect(await stress('--sead', '1')).toMatchObject({ code: 2, stderr: expect.stringMatching(/--sead/) });
    expect(await stress('--seed', 'x')).toMatchObject({
      code: 2,
      stderr: '--seed x: must be a whole number\n',
    });
  });

  it.each([...MUTATIONS, ...CLUSTER_MUTATIONS])(
    'can be shown to find that $name: the fault fits the build',
    (mutation) => {
      expect(mutated(DIST, mutation)).not.toBe('');
    },
  );

  it('lists its scenarios', async () => {
    const { code, stdout } = await stress('--list');
    expect(code).toBe(0);
    for (const name of ['calm', 'crash', 'disk-full', 'everything', 'hops'])
      expect(stdout).toMatch(new RegExp(`^${name} `, 'm'));
    expect(stdout).toMatch(/^redis-lost +needs Redis: /m);
    expect(stdout).not.toMatch(/^calm +needs Redis/m);
  });
});
