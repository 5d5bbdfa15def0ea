import { afterEach, describe, expect, it } from '@jest/globals';
import { ModelError } from '../src/agents/model.provider.js';
import { SessionStore, StoreUnavailable } from '../src/sessions/session.store.js';
import { until } from './support/channel.js';
import { newCredentials, TestClient } from './support/client.js';
import { complaintsAbout, parseExposition, type Family } from './support/exposition.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';
import { RawClient } from './support/raw.client.js';

const SECRET = 'a-secret-of-thirty-two-characters!';

async function scrape(url: string): Promise<Map<string, Family>> {
  return parseExposition(await (await fetch(`${url}/metrics`)).text());
}

type Labels = Record<string, string>;

/** The sum of a metric's samples that have these labels. */
async function figure(url: string, name: string, labels: Labels = {}): Promise<number> {
  const family = (await scrape(url)).get(name.replace(/_(count|sum)$/, '')) ?? (await scrape(url)).get(name);
  const samples = family?.samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  return samples?.reduce((sum, { value }) => sum + value, 0) ?? 0;
}

/** By how much a figure has risen since: those of the gateway's own modules are of the whole process. */
async function risingFrom(url: string, name: string, labels: Labels): Promise<() => Promise<number>> {
  const before = await figure(url, name, labels);
  return async () => (await figure(url, name, labels)) - before;
}

describe('metrics', () => {
  afterEach(disposeAll);

  it('[OBS-1] parse, are named by convention, and are labelled by what is bounded', async () => {
    const { url, client, model } = await gateway();
    const credentials = newCredentials();
    const socket = await client();
    await socket.open({ ...credentials, create: true });
    await socket.send(credentials.sessionId, 'one');
    const call = { toolCallId: 'c1', toolName: 'a_tool_that_a_model_made_up', input: '{}' };
    (await model.nextCall())
      .begin()
      .part({ type: 'tool-call', ...call })
      .finish('tool-calls');
    (await model.nextCall()).answer('1');
    await socket.turn('completed');
    await socket.askRaw('an_event_that_a_client_made_up', {});
    const families = [...(await scrape(url)).values()];
    expect(families.flatMap(complaintsAbout)).toEqual([]);
    for (const { name } of families) expect(name).toMatch(/^(mooring|gen_ai|process|nodejs)_/);

    const labels = new Map<string, Set<string>>();
    for (const { samples } of families.filter(({ name }) => /^(mooring|gen_ai)_/.test(name)))
      for (const sample of samples)
        for (const [label, value] of Object.entries(sample.labels))
          labels.set(label, (labels.get(label) ?? new Set()).add(value));
    const values = [...labels.values()].flatMap((set) => [...set]).join();
    for (const unbounded of [credentials.sessionId, socket.socket.id ?? '', 'made_up', '127.0.0.1'])
      expect(values).not.toContain(unbounded);
    expect(labels.get('gen_ai_tool_name')).toEqual(new Set(['_OTHER']));
    expect(labels.get('event')?.has('unknown')).toBe(true);
    expect(await figure(url, 'mooring_build_info', { store: 'memory', node: process.version })).toBe(1);
  });

  it('[OBS-1] the reader of the tests is strict', () => {
    const good = '# HELP a_total A.\n# TYPE a_total counter\na_total{b="c"} 1\n';
    expect(parseExposition(good).get('a_total')?.samples).toEqual([
      { name: 'a_total', labels: { b: 'c' }, value: 1 },
    ]);
    const buckets = (low: number, high: number, count: number) =>
      `# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} ${low}\nh_bucket{le="+Inf"} ${high}\nh_sum 1\nh_count ${count}\n`;
    expect(parseExposition(buckets(1, 2, 2)).size).toBe(1);
    for (const bad of [
      good.trimEnd(),
      good + good,
      good.replace(' 1\n', ' x\n'),
      good.replace('"c"', 'c'),
      `${good}b_total 1\n`,
      `${good}a_total{b="c"} 2\n`,
      buckets(2, 1, 1),
      buckets(1, 2, 3),
    ]) {
      expect(() => parseExposition(bad)).toThrow();
    }
    const family = { name: 'x', type: 'counter', help: '', samples: [] };
    expect(complaintsAbout(family)).toHaveLength(2);
    expect(complaintsAbout({ ...family, name: 'x_ms', type: 'gauge', help: 'X.' })).toHaveLength(1);
  });

  it('[OBS-2] count refused connections by reason', async () => {
    const { url, stop } = await gateway({ AUTH: 'jwt', JWT_SECRET: SECRET, MAX_SOCKETS_PER_IP: '1' });
    const reason = (name: string) => figure(url, 'mooring_connections_refused_total', { reason: name });
    const attempt = async (options: ConstructorParameters<typeof TestClient>[1]): Promise<void> => {
      const client = new TestClient(url, options);
      onDispose(() => client.close());
      await expect(client.connected()).rejects.toThrow();
      await client.close();
    };
    await attempt({ token: 'no.such.token' });
    expect(await reason('unauthorized')).toBe(1);
    await attempt({ origin: 'https://evil.example' });
    expect(await reason('origin')).toBe(1);
    await until(async () => (await figure(url, 'mooring_connections')) === 0, 'those to be gone');
    const raw = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    onDispose(async () => raw.close());
    await new Promise((resolve) => raw.addEventListener('open', resolve));
    expect(await figure(url, 'mooring_connections')).toBe(1);
    await attempt({});
    expect(await reason('address_connections')).toBe(1);
    expect(await figure(url, 'mooring_connections_accepted_total')).toBe(2);
    await stop();
  });

  it('[OBS-2] count requests, their refusals, what came too often, and closed sockets', async () => {
    const { url, client } = await gateway();
    const socket = await client();
    const requests = await risingFrom(url, 'mooring_requests_total', { event: 'agent:list' });
    const refused = await risingFrom(url, 'mooring_requests_refused_total', { code: 'rate_limited' });
    const limited = await risingFrom(url, 'mooring_rate_limited_total', { scope: 'socket' });
    const notFound = await risingFrom(url, 'mooring_requests_refused_total', { code: 'session_not_found' });
    expect(await socket.refused('session:history', { sessionId: 'none' })).toBe('session_not_found');
    const answers = await Promise.all(Array.from({ length: 40 }, () => socket.ask('agent:list', {})));
    const tooOften = answers.filter(({ ok }) => !ok).length;
    expect(tooOften).toBeGreaterThan(0);
    expect(await requests()).toBe(40);
    expect(await notFound()).toBe(1);
    expect([await refused(), await limited()]).toEqual([tooOften, tooOften]);
    await socket.close();
    const left = { reason: 'client namespace disconnect' };
    await until(async () => (await figure(url, 'mooring_disconnects_total', left)) === 1, 'its end');
    expect(await figure(url, 'mooring_sockets')).toBe(0);
  });

  it('[OBS-2] count who is cut off', async () => {
    const { url } = await gateway();
    const pings = await risingFrom(url, 'mooring_cut_off_total', { reason: 'oversized' });
    const polled = await fetch(`${url}/socket.io/?EIO=4&transport=polling`);
    const { sid } = JSON.parse((await polled.text()).slice(1)) as { sid: string };
    await fetch(`${url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, {
      method: 'POST',
      body: 'x'.repeat(300 * 1024),
    });
    await until(async () => (await pings()) === 1, 'it to be cut off');
  });

  it('[OBS-2] count what a draining node refuses', async () => {
    const { url, client, model, app } = await gateway({ DRAIN_TIMEOUT: '20s' });
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'one');
    const call = await model.nextCall();
    expect(await figure(url, 'mooring_draining')).toBe(0);
    const stopped = app.close();
    await socket.draining.next();
    expect(await figure(url, 'mooring_draining')).toBe(1);
    const late = new TestClient(url);
    onDispose(() => late.close());
    await expect(late.connected()).rejects.toThrow();
    expect(await figure(url, 'mooring_connections_refused_total', { reason: 'draining' })).toBe(1);
    call.answer('1');
    await socket.turn('completed');
    await stopped;
  });

  it('[OBS-2] tell of a store that does not answer, and of appends that it did not take', async () => {
    const { url, get, client, model } = await gateway();
    const store = get(SessionStore);
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'one');
    const call = await model.nextCall();
    expect(await figure(url, 'mooring_store_up')).toBe(1);
    const { append, census, ping } = store;
    const away = () => Promise.reject(new StoreUnavailable(new Error('the disk is full')));
    Object.assign(store, { append: away, census: away, ping: away });
    call.begin().text('so');
    await until(async () => (await figure(url, 'mooring_append_failures_total')) > 0, 'a failed append');
    expect(await figure(url, 'mooring_store_up')).toBe(0);
    Object.assign(store, { append, census, ping });
    call.finish();
    await socket.turn('completed');
    expect(await figure(url, 'mooring_append_seconds_count')).toBeGreaterThan(0);
    expect(await figure(url, 'mooring_store_up')).toBe(1);
  });

  it('[OBS-2] tell of turns that wait for a place, of those that waited, and of what sockets have not taken', async () => {
    const { url, client, model } = await gateway({ MAX_TURNS: '1' });
    const socket = await client();
    const [one, two] = [await socket.open(), await socket.open()];
    await socket.send(one.sessionId, 'one');
    const first = await model.nextCall();
    await socket.send(two.sessionId, 'two');
    await until(async () => (await figure(url, 'mooring_turns_waiting')) === 1, 'one that waits');
    expect(await figure(url, 'mooring_turns_limit')).toBe(1);
    expect(await figure(url, 'mooring_turn_wait_seconds_count')).toBe(1);
    first.answer('1');
    (await model.nextCall()).answer('2');
    await until(async () => (await figure(url, 'mooring_turns_waiting')) === 0, 'none that waits');
    expect(await figure(url, 'mooring_turn_wait_seconds_count')).toBe(2);
    expect(await figure(url, 'mooring_unsent_bytes')).toBe(0);
    const raw = await RawClient.connect(url);
    onDispose(() => raw.close());
    expect(await figure(url, 'mooring_sockets')).toBe(2);
    expect(await figure(url, 'mooring_sockets_congested')).toBe(0);
  });

  it('[OBS-2] tell of orphans that were ended, and of sessions that were closed', async () => {
    const { url, client, model } = await gateway({ DETACH_POLICY: 'interrupt', DETACH_GRACE: '10ms' });
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'one');
    await model.nextCall();
    socket.vanish();
    await until(async () => (await figure(url, 'mooring_orphans_ended_total')) === 1, 'the end of an orphan');
    expect(await figure(url, 'mooring_turns_total', { cause: 'detached' })).toBe(1);
    const other = await client();
    const opened = await other.open();
    await other.do('session:close', { sessionId: opened.sessionId });
    expect(await figure(url, 'mooring_sessions_closed_total')).toBe(1);
  });

  it('[OBS-3] follow the conventions for generative AI', async () => {
    const { url, client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'one');
    const overloaded = new ModelError('provider_rate_limited', '429', { repeatable: true, retryAfterMs: 0 });
    (await model.nextCall()).fail(overloaded);
    const input = '{"timezone":"Europe/Oslo"}';
    (await model.nextCall())
      .begin()
      .part({ type: 'tool-call', toolCallId: 'c1', toolName: 'current_time', input })
      .part({
        type: 'tool-call',
        toolCallId: 'c2',
        toolName: 'current_time',
        input: '{"timezone":"No/Where"}',
      })
      .finish('tool-calls');
    (await model.nextCall()).answer('1');
    await socket.turn('completed');

    const chat = {
      gen_ai_operation_name: 'chat',
      gen_ai_provider_name: 'scripted',
      gen_ai_request_model: 'test',
    };
    const duration = 'gen_ai_client_operation_duration_seconds_count';
    expect(await figure(url, duration, { ...chat, error_type: 'provider_rate_limited' })).toBe(1);
    expect(await figure(url, duration, { ...chat, error_type: '' })).toBe(2);
    expect(await figure(url, 'gen_ai_client_operation_time_to_first_chunk_seconds_count', chat)).toBe(2);
    const usage = (type: string, part: string) =>
      figure(url, `gen_ai_client_token_usage_${part}`, { ...chat, gen_ai_token_type: type });
    expect([await usage('input', 'sum'), await usage('output', 'sum')]).toEqual([20, 10]);
    expect(await usage('input', 'count')).toBe(2);
    const tool = { gen_ai_operation_name: 'execute_tool', gen_ai_tool_name: 'current_time' };
    for (const error_type of ['', 'tool_error'])
      expect(await figure(url, 'gen_ai_execute_tool_duration_seconds_count', { ...tool, error_type })).toBe(
        1,
      );
  });
});
