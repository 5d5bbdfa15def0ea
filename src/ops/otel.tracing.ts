import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
  type Tracer,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type ReadableSpan,
  type Sampler,
  type SpanExporter,
} from '@opentelemetry/sdk-trace';
import type {
  AttemptEnd,
  AttemptStart,
  AttemptWatch,
  TurnObserver,
  TurnReport,
  TurnStart,
  TurnWatch,
} from '../agents/turn.observer.js';
import type { TracingConfig } from '../config.js';
import { sessionHash } from '../sessions/session.hash.js';
import { VERSION } from './package.version.js';
import type { Tracing } from './tracing.js';

/** A stop waits twice as long for a collector that does not answer: the store is closed after it. */
const FLUSH_MS = 1_000;

/**
 * Traces of turns, by OpenTelemetry's conventions for generative AI: a span of a turn, and below it one of each call of
 * a model, repeats included, and of each call of a tool. They hold no content, and of a session its hash.
 */
export class OtelTracing implements Tracing, TurnObserver, OnApplicationShutdown {
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;

  constructor({ endpoint, serviceName, sampler }: TracingConfig) {
    // What the environment says beside (OTEL_RESOURCE_ATTRIBUTES) counts less than a name that was given.
    const resource = resourceFromAttributes({ 'service.name': 'mooring', 'service.version': VERSION })
      .merge(detectResources({ detectors: [envDetector] }))
      .merge(resourceFromAttributes(serviceName === undefined ? {} : { 'service.name': serviceName }));
    const exporter = new ReportingExporter(new OTLPTraceExporter({ url: endpoint }));
    this.#provider = new TracerProvider({
      resource,
      sampler: samplerOf(sampler),
      spanProcessors: [new BatchSpanProcessor({ exporter })],
    });
    this.#tracer = this.#provider.getTracer('mooring', VERSION);
  }

  begin({ sessionId, turnId, agent, traceparent, waitedMs }: TurnStart): TurnWatch {
    const attributes: Attributes = {
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.agent.id': agent,
      'gen_ai.conversation.id': sessionHash(sessionId),
      'mooring.turn.id': turnId,
      ...(waitedMs !== undefined && { 'mooring.turn.wait': waitedMs / 1_000 }),
    };
    const span = this.#tracer.startSpan(`invoke_agent ${agent}`, { attributes }, parentOf(traceparent));
    const below = trace.setSpan(ROOT_CONTEXT, span);
    return {
      traceId: span.spanContext().traceId,
      attempt: (start) => this.#attempt(start, below),
      tool: (call) => this.#tool(call, below),
      ended: (report) => endTurn(span, report),
    };
  }

  async flush(): Promise<void> {
    await this.#provider.forceFlush({ timeoutMillis: FLUSH_MS }).catch(() => undefined);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.flush();
    await Promise.race([
      this.#provider.shutdown().catch(() => undefined),
      new Promise((resolve) => setTimeout(resolve, FLUSH_MS).unref()),
    ]);
  }

  #attempt({ provider, model, address, port, repeats }: AttemptStart, below: Context): AttemptWatch {
    const attributes: Attributes = {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': provider,
      'gen_ai.request.model': model,
      'gen_ai.request.stream': true,
      'server.address': address,
      'server.port': port,
      'mooring.attempt': repeats + 1,
    };
    const name = model === undefined ? 'chat' : `chat ${model}`;
    const span = this.#tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, below);
    const begun = performance.now();
    return {
      firstPart: () =>
        span.setAttribute('gen_ai.response.time_to_first_chunk', (performance.now() - begun) / 1_000),
      ended: (end) => endAttempt(span, end),
    };
  }

  #tool(
    { name, toolCallId }: { name: string; toolCallId: string },
    below: Context,
  ): (failed: boolean) => void {
    const attributes: Attributes = {
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': name,
      'gen_ai.tool.call.id': toolCallId,
      'gen_ai.tool.type': 'function',
    };
    const span = this.#tracer.startSpan(`execute_tool ${name}`, { attributes }, below);
    return (failed) => {
      if (failed) fail(span, 'tool_error');
      span.end();
    };
  }
}

function endTurn(span: Span, report: TurnReport | undefined): void {
  const { state = 'deposed', cause = 'deposed', usage } = report ?? {};
  span.setAttributes({ 'mooring.turn.state': state, 'mooring.turn.cause': cause, ...usageOf(usage) });
  if (state === 'failed') fail(span, cause);
  span.end();
}

function endAttempt(span: Span, { error, reason, usage }: AttemptEnd): void {
  span.setAttributes({
    ...(reason !== undefined && { 'gen_ai.response.finish_reasons': [reason] }),
    ...usageOf(usage),
  });
  // Somebody stopped the turn: that is no fault of the vendor.
  if (error === 'aborted') span.setAttribute('error.type', error);
  else if (error !== undefined) fail(span, error);
  span.end();
}

function usageOf(usage: { inputTokens: number; outputTokens: number } | undefined): Attributes {
  if (!usage) return {};
  return {
    'gen_ai.usage.input_tokens': usage.inputTokens,
    'gen_ai.usage.output_tokens': usage.outputTokens,
  };
}

function fail(span: Span, type: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR, message: type });
}

/** @param traceparent one of W3C's form */
function parentOf(traceparent: string | undefined): Context {
  const [, traceId, spanId, flags] = traceparent?.split('-') ?? [];
  if (!traceId || !spanId || !flags) return ROOT_CONTEXT;
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
  return trace.setSpanContext(ROOT_CONTEXT, parent);
}

function samplerOf({ kind, ratio }: TracingConfig['sampler']): Sampler {
  const [, name] = /^(?:parentbased_)?(.*)$/.exec(kind) ?? [];
  const root =
    name === 'always_off'
      ? new AlwaysOffSampler()
      : name === 'traceidratio'
        ? new TraceIdRatioBasedSampler(ratio)
        : new AlwaysOnSampler();
  return kind.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

/** Says once that spans cannot be handed over, and once that they can again. */
class ReportingExporter implements SpanExporter {
  readonly #logger = new Logger(OtelTracing.name);
  #failing = false;

  constructor(private readonly exporter: SpanExporter) {}

  export(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    this.exporter.export(spans, (result) => {
      const failing = Number(result.code) !== 0;
      if (failing && !this.#failing) this.#logger.warn('traces cannot be sent; they are dropped meanwhile');
      if (!failing && this.#failing) this.#logger.log('traces are sent again');
      this.#failing = failing;
      done(result);
    });
  }

  forceFlush(): Promise<void> {
    return this.exporter.forceFlush?.() ?? Promise.resolve();
  }

  shutdown(): Promise<void> {
    return this.exporter.shutdown();
  }
}
