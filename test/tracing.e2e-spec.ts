import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { Tracing } from '../src/ops/tracing.js';
import { newCredentials, TestClient } from './support/client.js';
import { startCollector, type Collector, type SpanData } from './support/collector.js';
import { disposeAll, gateway, onDispose, temporaryDirectory, type TestGateway } from './support/gateway.js';
import { gatewayProcess } from './support/gateway.process.js';
import { startOpenAiServer } from './support/openai.server.js';

function newTraceparent(flags = '01'): { traceparent: string; traceId: string; parentSpanId: string } {
  const [traceId, parentSpanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  return { traceparent: `00-${traceId}-${parentSpanId}-${flags}`, traceId, parentSpanId };
}

async function traced(env: Record<string, string> = {}): Promise<TestGateway & { collector: Collector }> {
  const collector = await startCollector();
  onDispose(() => collector.stop());
  const running = await gateway({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env });
  return { ...running, collector };
}

async function spansOf({ get, collector }: TestGateway & { collector: Collector }): Promise<SpanData[]> {
  await get(Tracing).flush();
  return collector.spans;
}

const named = (spans: SpanData[], name: string): SpanData[] => spans.filter((span) => span.name === name);

describe('tracing', () => {
  afterEach(disposeAll);

  it('[OBS-4] [OBS-5] [SEC-4] follows a turn through its calls of the model and of a tool', async () => {
    const vendor = await startOpenAiServer();
    onDispose(() => vendor.stop());
    const running = await traced({
      OPENAI_BASE_URL: vendor.url,
      OPENAI_API_KEY: 'sk-never-traced',
      MODEL: 'gpt-x',
    });
    const { traceparent, traceId, parentSpanId } = newTraceparent();
    const socket = await running.client({ traceparent: () => traceparent });
    const { sessionId, key = '' } = await socket.open();
    const { turnId } = await socket.send(sessionId, 'a question of mine');
    const asks = await vendor.nextCall();
    const call = { name: 'current_time', arguments: '{"timezone":"Europe/Oslo"}' };
    const tool_calls = [{ index: 0, id: 'call-1', type: 'function', function: call }];
    asks.begin().raw(JSON.stringify({ choices: [{ index: 0, delta: { tool_calls } }] }));
    asks.finish('tool_calls');
    (await vendor.nextCall()).text('an answer of its own').finish();
    await socket.turn('completed');

    const spans = await spansOf(running);
    expect(spans.map(({ name }) => name).sort()).toEqual([
      'chat gpt-x',
      'chat gpt-x',
      'execute_tool current_time',
      'invoke_agent alice',
    ]);
    const [turn] = named(spans, 'invoke_agent alice');
    expect(turn).toMatchObject({
      traceId,
      parentSpanId,
      kind: 1,
      attributes: {
        'gen_ai.operation.name': 'invoke_agent',
        'gen_ai.agent.id': 'alice',
        'gen_ai.conversation.id': createHash('sha256').update(sessionId).digest('hex').slice(0, 12),
        'mooring.turn.id': turnId,
        'mooring.turn.state': 'completed',
        'mooring.turn.wait': expect.any(Number),
        'gen_ai.usage.output_tokens': expect.any(Number),
      },
    });
    for (const span of spans.filter((each) => each !== turn)) {
      expect(span).toMatchObject({ traceId, parentSpanId: turn?.spanId, status: { code: 0 } });
      expect(span.begin >= (turn?.begin ?? 0n) && span.end <= (turn?.end ?? 0n)).toBe(true);
    }
    const [first, second] = named(spans, 'chat gpt-x');
    expect(first?.attributes['gen_ai.response.finish_reasons']).toEqual(['tool-calls']);
    expect(second).toMatchObject({
      kind: 3,
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': 'openai',
        'gen_ai.request.model': 'gpt-x',
        'gen_ai.request.stream': true,
        'gen_ai.response.finish_reasons': ['stop'],
        'gen_ai.response.time_to_first_chunk': expect.any(Number),
        'gen_ai.usage.input_tokens': 7,
        'gen_ai.usage.output_tokens': 3,
        'server.address': '127.0.0.1',
        'server.port': Number(new URL(vendor.url).port),
        'mooring.attempt': 1,
      },
    });
    expect(named(spans, 'execute_tool current_time')[0]?.attributes).toEqual({
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 'current_time',
      'gen_ai.tool.call.id': 'call-1',
      'gen_ai.tool.type': 'function',
    });
    expect(running.collector.posts[0]).toMatchObject({
      path: '/v1/traces',
      headers: { 'content-type': 'application/json' },
    });
    expect(running.collector.resource).toMatchObject({ 'service.name': 'mooring' });
    for (const secret of [sessionId, key, 'sk-never-traced', 'question', 'answer of', 'Oslo']) {
      expect(running.collector.raw).not.toContain(secret);
    }
  });

  it('[OBS-4] [OBS-5] has a span of each attempt, and a turn keeps its trace while its client comes and goes', async () => {
    const vendor = await startOpenAiServer();
    onDispose(() => vendor.stop());
    const running = await traced({ OPENAI_BASE_URL: vendor.url, MODEL: 'gpt-x', OTEL_SERVICE_NAME: 'chat' });
    const credentials = newCredentials();
    const { sessionId } = credentials;
    const [before, after] = [newTraceparent(), newTraceparent()];
    const first = await running.client({ traceparent: () => before.traceparent });
    await first.open({ ...credentials, create: true });
    await first.send(sessionId, 'one');
    (await vendor.nextCall()).refuse(503, { 'retry-after': '0' });
    first.vanish();
    const second = await running.client({ traceparent: () => after.traceparent });
    await second.open(credentials);
    (await vendor.nextCall()).refuse(429, { 'retry-after': '0' });
    (await vendor.nextCall()).text('here').finish();
    await second.turn('completed');
    await second.send(sessionId, 'two');
    (await vendor.nextCall()).refuse(401);
    await second.turn('failed');

    const spans = await spansOf(running);
    const chats = named(spans, 'chat gpt-x');
    expect(chats.map(({ traceId }) => traceId)).toEqual([
      ...[before, before, before].map(({ traceId }) => traceId),
      after.traceId,
    ]);
    expect(chats.map(({ attributes, status }) => [attributes['mooring.attempt'], status])).toEqual([
      [1, { code: 2, message: 'provider_error' }],
      [2, { code: 2, message: 'provider_rate_limited' }],
      [3, { code: 0 }],
      [1, { code: 2, message: 'provider_unauthorized' }],
    ]);
    expect(named(spans, 'invoke_agent alice')).toMatchObject([
      { ...pick(before), status: { code: 0 }, attributes: { 'mooring.turn.state': 'completed' } },
      {
        ...pick(after),
        status: { code: 2 },
        attributes: { 'mooring.turn.state': 'failed', 'error.type': 'provider_unauthorized' },
      },
    ]);
    expect(running.collector.resource).toMatchObject({ 'service.name': 'chat' });
  });

  it('[OBS-4] a turn that somebody stopped is no error of the vendor', async () => {
    const running = await traced();
    const socket = await running.client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'one');
    (await running.model.nextCall()).begin().text('so');
    await socket.do('turn:cancel', { sessionId });
    await socket.turn('cancelled');
    expect(named(await spansOf(running), 'chat test')).toMatchObject([
      { attributes: { 'error.type': 'aborted' }, status: { code: 0 } },
    ]);
    expect(named(await spansOf(running), 'invoke_agent alice')).toMatchObject([
      { attributes: { 'mooring.turn.state': 'cancelled' }, status: { code: 0 } },
    ]);
  });

  it('[OBS-5] takes the context of a header, and of requests over HTTP and a plain WebSocket', async () => {
    const running = await traced();
    const { url, model, client } = running;
    const contexts = Array.from({ length: 5 }, () => newTraceparent());
    const [ofHeader, ofAuth, ofHttp, ofSocket, ofFrame] = contexts.map(({ traceparent }) => traceparent);
    model.autoAnswer = (call) => call.answer('Hi.');
    const ask = async (options: Parameters<typeof client>[0]): Promise<void> => {
      const socket = await client(options);
      const { sessionId } = await socket.open();
      await socket.send(sessionId, 'one');
      await socket.turn('completed');
    };
    await ask({ headers: { traceparent: ofHeader ?? '' } });
    await ask({ headers: { traceparent: ofHeader ?? '' }, traceparent: () => ofAuth });
    const message = { id: 'm1', role: 'user', parts: [{ type: 'text', text: 'one' }] };
    const { sessionId, key } = newCredentials();
    const body = JSON.stringify({ id: sessionId, trigger: 'submit-message', messages: [message] });
    const headers = { authorization: `Bearer ${key}`, traceparent: ofHttp ?? '' };
    const json = { 'content-type': 'application/json' };
    await (await fetch(`${url}/api/chat`, { method: 'POST', headers: { ...headers, ...json }, body })).text();
    for (const own of [{}, { traceparent: ofFrame }]) {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/api/chat`, {
        headers: { authorization: `Bearer ${key}`, traceparent: ofSocket ?? '' },
      });
      onDispose(async () => socket.terminate());
      await new Promise((resolve) => socket.once('open', resolve));
      const id = newCredentials().sessionId;
      const frame = { type: 'send', requestId: 'r', id, trigger: 'submit-message', messages: [message] };
      socket.send(JSON.stringify({ ...frame, headers: own }));
      await new Promise<void>((resolve) =>
        socket.on('message', (data: Buffer) => data.toString().includes('"end"') && resolve()),
      );
    }
    // What is none begins a trace of its own.
    await ask({ traceparent: () => 'not a trace context' });

    const turns = named(await spansOf(running), 'invoke_agent alice');
    expect(turns.slice(0, 5).map(({ traceId, parentSpanId }) => ({ traceId, parentSpanId }))).toEqual(
      contexts.map(({ traceId, parentSpanId }) => ({ traceId, parentSpanId })),
    );
    expect(turns).toHaveLength(6);
    expect(turns[5]?.parentSpanId ?? '').toBe('');
  });

  it('[OBS-4] samples as it is told, and else as whoever asks says', async () => {
    const asking = async (env: Record<string, string>, flags: string): Promise<number> => {
      const running = await traced(env);
      running.model.autoAnswer = (call) => call.answer('Hi.');
      const socket = await running.client({ traceparent: () => newTraceparent(flags).traceparent });
      const { sessionId } = await socket.open();
      await socket.send(sessionId, 'one');
      await socket.turn('completed');
      return (await spansOf(running)).length;
    };
    expect(await asking({}, '00')).toBe(0);
    expect(await asking({}, '01')).toBe(2);
    expect(await asking({ OTEL_TRACES_SAMPLER: 'always_on' }, '00')).toBe(2);
    expect(await asking({ OTEL_TRACES_SAMPLER: 'always_off' }, '01')).toBe(0);
    expect(await asking({ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' }, '01')).toBe(0);
  });

  it('[OBS-6] a collector that hangs holds up neither a turn nor, for long, a stop', async () => {
    const held: ServerResponse[] = [];
    const hanging = await startCollector((response) => held.push(response));
    onDispose(() => hanging.stop());
    const { client, model, stop } = await gateway({ OTEL_EXPORTER_OTLP_ENDPOINT: hanging.url });
    model.autoAnswer = (call) => call.answer('Hi.');
    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'one');
    await socket.turn('completed');
    await stop();
    expect(held).toHaveLength(1);
    // In a process of its own that ended with it.
    for (const response of held) response.writeHead(400).end();
  });

  it('[OBS-6] the SDK is loaded where there is an endpoint only; what cannot be sent is logged once', async () => {
    const refusing = await startCollector((response) => response.writeHead(400).end());
    onDispose(() => refusing.stop());
    const loadedWith = async (env: Record<string, string>): Promise<{ sdk: boolean; output: string }> => {
      const NODE_V8_COVERAGE = await temporaryDirectory();
      const running = await gatewayProcess({ STORE: 'memory', NODE_V8_COVERAGE, ...env });
      onDispose(() => running.kill('SIGKILL'));
      const socket = new TestClient(running.url);
      onDispose(() => socket.close());
      await socket.connected();
      const { sessionId } = await socket.open();
      await socket.send(sessionId, '/echo hi');
      await socket.turn('completed');
      expect(await running.kill('SIGTERM')).toBe(0);
      const files = await readdir(NODE_V8_COVERAGE);
      const scripts = await Promise.all(
        files.map(async (file) => readFile(join(NODE_V8_COVERAGE, file), 'utf8')),
      );
      return { sdk: scripts.join().includes('@opentelemetry/sdk-trace/'), output: running.output() };
    };
    expect((await loadedWith({})).sdk).toBe(false);
    const { sdk, output } = await loadedWith({ OTEL_EXPORTER_OTLP_ENDPOINT: refusing.url });
    expect(sdk).toBe(true);
    expect(output.match(/traces cannot be sent/g)).toHaveLength(1);
  });
});

function pick({ traceId, parentSpanId }: { traceId: string; parentSpanId: string }) {
  return { traceId, parentSpanId };
}
