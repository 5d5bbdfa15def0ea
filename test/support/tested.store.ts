import { randomUUID } from 'node:crypto';
import { afterAll } from '@jest/globals';
import { redisMissing, RedisServer } from './redis.server.js';

let server: Promise<RedisServer> | undefined;
/** By data folder: who would find the same files finds the same database. */
const databases = new Map<string, number>();

if (process.env['TEST_STORE'] === 'redis') {
  redisMissing();
  afterAll(async () => (await server)?.stop());
}

/** Where the store of a gateway with that data folder has its files. */
export async function storedIn(dataDir: string): Promise<string> {
  return (await server)?.folder ?? dataDir;
}

/** With TEST_STORE=redis: what puts a gateway on a database of its own of a Redis that the file's tests share. */
export async function onTestedStore({
  DATA_DIR: dataDir = randomUUID(),
  TRANSPORTS: transports = 'websocket,polling',
}: Record<string, string>): Promise<Record<string, string>> {
  if (process.env['TEST_STORE'] !== 'redis') return {};
  server ??= RedisServer.start();
  const { url } = await server;
  const database = databases.get(dataDir) ?? databases.size;
  databases.set(dataDir, database);
  return { STORE: 'redis', REDIS_URL: `${url}/${database}`, TRANSPORTS: transports };
}
