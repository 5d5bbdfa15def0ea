import { afterEach, describe, expect, it } from '@jest/globals';
import { Clock } from '../src/clock.js';
import { SessionReaper } from '../src/sessions/session.reaper.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { TurnLease } from '../src/sessions/turn.lease.js';
import { Channel } from '../src/testing/channel.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient, textOf } from './support/client.js';
import { disposeAll, gateway, onDispose, temporaryDirectory } from './support/gateway.js';

describe.each(['memory', 'sqlite'])('expiry, %s store', (STORE) => {
  afterEach(disposeAll);

  it('[SES-7] [SES-8] a session that nobody came back to expires, swept or at open, and its id stays refused', async () => {
    const { client, model, get } = await gateway({ STORE, SESSION_TTL: '80ms' });
    model.autoAnswer = (call) => call.answer('ok');
    const socket = await client();
    const [swept, found] = [newCredentials(), newCredentials()];
    for (const credentials of [swept, found]) {
      await socket.open({ ...credentials, create: true });
      await socket.send(credentials.sessionId, 'hello');
      await socket.turn('completed');
    }
    await get(SessionReaper).sweep();
    expect(await get(SessionStore).census()).toEqual({ attached: 2, detached: 0, orphaned: 0 });
    await socket.do('session:leave', { sessionId: swept.sessionId });
    const store = get(SessionStore);
    await until(async () => {
      await get(SessionReaper).sweep();
      return (await store.census()).detached === 0;
    }, 'the sweep');
    expect(await socket.refused('session:open', { ...swept, create: true })).toBe('session_not_found');

    await socket.do('session:leave', { sessionId: found.sessionId });
    const other = await client();
    await until(async () => {
      const { idleSince = Infinity } = (await store.open(found.sessionId)) ?? { idleSince: 0 };
      return idleSince < get(Clock).now() - 80;
    }, 'its time to pass');
    expect(await other.refused('session:open', found)).toBe('session_not_found');
    expect(await other.refused('session:open', { ...found, create: true })).toBe('session_not_found');
  });

  it('[SES-8] a session with an open turn does not expire', async () => {
    const { client, model, get } = await gateway({ STORE, SESSION_TTL: '1ms' });
    const socket = await client();
    const credentials = newCredentials();
    await socket.open({ ...credentials, create: true });
    await socket.send(credentials.sessionId, 'hello');
    const call = await model.nextCall();
    socket.vanish();
    const store = get(SessionStore);
    await until(async () => (await store.census()).orphaned === 1, 'the session to be orphaned');
    await get(SessionReaper).sweep();
    expect(await store.census()).toMatchObject({ orphaned: 1 });
    call.answer('done');
    await until(async () => {
      await get(SessionReaper).sweep();
      return (await store.census()).detached === 0 && (await store.census()).orphaned === 0;
    }, 'the session to expire');
  });

  it('[SES-8] a session that is just made is not past its time, however late its maker is', async () => {
    const { client, get } = await gateway({ STORE, SESSION_TTL: '1ms' });
    const store = get(SessionStore);
    const open = store.open.bind(store);
    store.open = async (...args) => {
      const found = await open(...args);
      const begin = get(Clock).now();
      await until(() => get(Clock).now() > begin + 1, 'its time to pass');
      return found;
    };
    const socket = await client();
    expect(await socket.open({ ...newCredentials(), create: true })).toMatchObject({ created: true });
  });

  it('[SES-9] a session without a message expires too, by its own time', async () => {
    const { client, get } = await gateway({ STORE, SESSION_TTL: '50ms' });
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.do('session:leave', { sessionId });
    await until(async () => {
      await get(SessionReaper).sweep();
      return (await get(SessionStore).census()).detached === 0;
    }, 'the session to expire');
  });
});

describe('expiry across a restart', () => {
  afterEach(disposeAll);

  it('[SES-8] [SES-7] a session whose time passes while nothing runs is refused, also before the first sweep', async () => {
    const env = { STORE: 'sqlite', DATA_DIR: await temporaryDirectory(), SESSION_TTL: '1s' };
    const first = await gateway(env);
    const credentials = newCredentials();
    const socket = await first.client();
    await socket.open({ ...credentials, create: true });
    await first.stop();
    const stopped = first.get(Clock).now();
    await until(() => first.get(Clock).now() > stopped + 1_100, 'its time to pass');
    const second = await gateway(env);
    const back = await second.client();
    expect(await back.refused('session:open', { ...credentials, create: true })).toBe('session_not_found');
  });
});

describe('drain', () => {
  afterEach(disposeAll);

  it('[OPS-7] [CONN-5] [MSG-2] tells clients, takes nothing new, finishes what runs, and keeps what waits', async () => {
    const DATA_DIR = await temporaryDirectory();
    const first = await gateway({ STORE: 'sqlite', DATA_DIR, DRAIN_TIMEOUT: '20s' });
    const socket = await first.client();
    const credentials = newCredentials();
    const { sessionId } = credentials;
    await socket.open({ ...credentials, create: true });
    const running = await socket.send(sessionId, 'running', { messageId: 'one' });
    const call = (await first.model.nextCall()).begin().text('so ');
    const waiting = await socket.send(sessionId, 'waiting', { messageId: 'two' });

    const stopped = first.stop();
    expect(await socket.draining.next()).toEqual({ graceMs: 20_000 });
    expect((await fetch(`${first.url}/health/ready`)).status).toBe(503);
    expect((await fetch(`${first.url}/health/live`)).status).toBe(200);
    expect(await socket.refused('message:send', { sessionId, messageId: 'three', text: 'new' })).toBe(
      'draining',
    );
    expect(await socket.refused('turn:retry', { sessionId, retryId: 'r' })).toBe('draining');
    expect(await socket.do('message:send', { sessionId, messageId: 'one', text: 'running' })).toMatchObject({
      turnId: running.turnId,
      duplicate: true,
      state: 'running',
    });
    const late = new TestClient(first.url);
    onDispose(() => late.close());
    await expect(late.connected()).rejects.toMatchObject({ data: { code: 'draining' } });
    call.text('far').finish();
    await socket.turn('completed', running.turnId);
    expect(textOf(socket.events)).toBe('so far');
    await stopped;
    expect(['transport close', 'transport error']).toContain(await socket.disconnects.next());
    expect(first.model.calls).toHaveLength(1);

    const second = await gateway({ STORE: 'sqlite', DATA_DIR });
    (await second.model.nextCall()).answer('at last');
    const back = await second.client();
    await until(async () => (await back.open(credentials)).turns.length === 0);
    expect(await back.do('message:send', { sessionId, messageId: 'two', text: 'waiting' })).toMatchObject({
      turnId: waiting.turnId,
      state: 'completed',
    });
  });

  it('[OPS-7] past its time a running turn ends as draining, its text kept', async () => {
    const { client, model, stop } = await gateway({ DRAIN_TIMEOUT: '50ms' });
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'endless');
    (await model.nextCall()).begin().text('kept');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    const stopped = stop();
    expect(await socket.turn('interrupted')).toMatchObject({ reason: 'draining' });
    expect(textOf(socket.events)).toBe('kept');
    await stopped;
  });

  it('[OPS-7] a turn that was being begun as the time passed ends as draining too', async () => {
    const { client, model, get, stop } = await gateway({ DRAIN_TIMEOUT: '0ms' });
    const lease = get(TurnLease);
    const begin = new Channel<() => void>('the begin of the turn');
    const next = lease.next.bind(lease);
    lease.next = (...turn) => new Promise<void>((resolve) => begin.push(resolve)).then(() => next(...turn));
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'late');
    const goOn = await begin.next();
    const stopped = stop();
    await socket.draining.next();
    // The drain's own timer was set before this one, and for less.
    await new Promise((resolve) => setTimeout(resolve, 5));
    goOn();
    expect(await socket.turn('interrupted')).toMatchObject({ reason: 'draining' });
    await stopped;
    expect(model.calls).toHaveLength(0);
  });
});
