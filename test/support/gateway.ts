import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Type } from '@nestjs/common';
import { startGateway, type TestGateway as StartedGateway } from '../../src/testing/index.js';
import { onTestedStore } from './tested.store.js';
import { TestClient, type ClientOptions } from './client.js';

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

export interface TestGateway extends Pick<StartedGateway, 'url' | 'app' | 'model' | 'restartGateway'> {
  client(options?: ClientOptions): Promise<TestClient>;
  get<T>(type: Type<T> | (abstract new (...args: never[]) => T)): T;
  stop(): Promise<void>;
}

/**
 * A real gateway in this process, on a free port, with a real store; only the model is the test's own,
 * unless `env` names a vendor.
 */
export async function gateway(env: Record<string, string> = {}): Promise<TestGateway> {
  const started = await startGateway({
    env: {
      LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'silent',
      STORE: 'memory',
      FLUSH_INTERVAL: '5ms',
      ...env,
      ...(await onTestedStore(env)),
    },
  });
  onDispose(started.close);
  return {
    url: started.url,
    model: started.model,
    get app() {
      return started.app;
    },
    restartGateway: started.restartGateway,
    stop: started.close,
    get: (type) => started.app.get(type),
    client: async (options) => {
      const client = new TestClient(started.url, options);
      onDispose(() => client.close());
      await client.connected();
      return client;
    },
  };
}
