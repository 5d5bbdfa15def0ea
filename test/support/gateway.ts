import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Type } from '@nestjs/common';
import { startGateway, type RunningGateway } from '../../src/bootstrap.js';
import { loadConfig } from '../../src/config.js';
import { TestClient, type ClientOptions } from './client.js';
import { ScriptedModel } from './scripted.model.js';

const AGENTS_DIR = fileURLToPath(new URL('../../agents', import.meta.url));

const disposals: (() => Promise<unknown>)[] = [];

/** Call in `afterEach`: ends whatever a test started, the newest first. */
export async function disposeAll(): Promise<void> {
  for (const dispose of disposals.splice(0).reverse()) await dispose();
}

export function onDispose(dispose: () => Promise<unknown>): void {
  disposals.push(dispose);
}

export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'mooring-'));
  onDispose(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export interface TestGateway {
  url: string;
  app: RunningGateway['app'];
  /** What the model is told, and what it answers; gated by the test. */
  model: ScriptedModel;
  client(options?: ClientOptions): Promise<TestClient>;
  get<T>(type: Type<T> | (abstract new (...args: never[]) => T)): T;
  stop(): Promise<void>;
}

/**
 * A real gateway in this process, on a free port, with a real store; only the model is the test's own,
 * unless `env` names a vendor.
 */
export async function gateway(env: Record<string, string> = {}): Promise<TestGateway> {
  const model = new ScriptedModel();
  const config = loadConfig({
    PORT: '0',
    LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'silent',
    AGENTS_DIR,
    STORE: 'memory',
    FLUSH_INTERVAL: '5ms',
    DRAIN_TIMEOUT: '50ms',
    ...(env['STORE'] === 'sqlite' && !env['DATA_DIR'] ? { DATA_DIR: await temporaryDirectory() } : {}),
    ...env,
  });
  const { app, url } = await startGateway(config, config.vendor ? undefined : model);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= app.close());
  onDispose(stop);
  return {
    url,
    app,
    model,
    stop,
    get: (type) => app.get(type),
    client: async (options) => {
      const client = new TestClient(url, options);
      onDispose(() => client.close());
      await client.connected();
      return client;
    },
  };
}
