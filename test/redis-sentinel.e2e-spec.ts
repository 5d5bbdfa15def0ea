import { afterEach, describe, expect, it } from '@jest/globals';
import { until } from './support/channel.js';
import { newCredentials, textOf } from './support/client.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';
import { redisMissing } from './support/redis.server.js';
import { RedisSentinel } from './support/redis.topologies.js';

const missing = redisMissing();

describe('a Redis behind a sentinel', () => {
  if (missing) return void it.skip(missing, () => undefined);
  afterEach(disposeAll);

  it('[CLU-1] [RES-3] is followed to its new master amid an answer, which goes on under a new epoch', async () => {
    const sentinel = await RedisSentinel.start();
    onDispose(() => sentinel.stop());
    const { client, model, url } = await gateway({ STORE: 'redis', REDIS_URL: sentinel.url });
    const credentials = newCredentials();
    const socket = await client();
    const { position } = await socket.open({ ...credentials, create: true });
    await socket.send(credentials.sessionId, 'a long one');
    const call = (await model.nextCall()).begin().text('before, ');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    await sentinel.failOver();
    call.text('meanwhile, ');
    await until(async () => (await fetch(`${url}/health/ready`)).status === 200, 'the new master');
    call.text('after').finish();

    const back = await client();
    await until(
      async () => (await back.open({ ...credentials, position })).turns.length === 0,
      'the end of the answer',
    );
    const opened = await back.open({ ...credentials, position });
    expect(opened.recovered).toBe(false);
    expect(opened.position.epoch).not.toBe(position.epoch);
    const texts = opened.messages.map(({ parts }) => parts.find((part) => part.type === 'text'));
    expect(texts.map((part) => part?.text)).toEqual(['a long one', 'before, meanwhile, after']);
    expect(textOf(socket.events)).toMatch(/^before, /);
  }, 120_000);
});
