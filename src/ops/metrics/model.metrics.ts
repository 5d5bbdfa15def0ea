import { Injectable } from '@nestjs/common';
import { Histogram } from 'prom-client';
import { TurnObservers, type AttemptStart, type AttemptWatch } from '../../agents/turn.observer.js';
import type { Instruments } from './instruments.js';

/** As OpenTelemetry's conventions for generative AI name them: seconds, tokens. */
const SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];

const OPERATION = [
  'gen_ai_operation_name',
  'gen_ai_provider_name',
  'gen_ai_request_model',
  'server_address',
  'server_port',
];

/**
 * Calls of models and tools, by OpenTelemetry's semantic conventions for generative AI, their names written as
 * Prometheus has them. A call is one attempt: what is repeated counts each time.
 */
@Injectable()
export class ModelMetrics {
  constructor(private readonly observers: TurnObservers) {}

  register({ registry }: Instruments): void {
    const registers = [registry];
    const duration = new Histogram({
      name: 'gen_ai_client_operation_duration_seconds',
      help: 'How long a call of a model took; error_type is empty where it succeeded.',
      labelNames: [...OPERATION, 'error_type'],
      buckets: SECONDS,
      registers,
    });
    const firstChunk = new Histogram({
      name: 'gen_ai_client_operation_time_to_first_chunk_seconds',
      help: 'From a call of a model to the first piece of its answer.',
      labelNames: OPERATION,
      buckets: SECONDS,
      registers,
    });
    const tokenUsage = new Histogram({
      name: 'gen_ai_client_token_usage',
      help: 'Tokens of a call of a model, where its vendor said.',
      labelNames: [...OPERATION, 'gen_ai_token_type'],
      buckets: TOKENS,
      registers,
    });
    const toolTime = new Histogram({
      name: 'gen_ai_execute_tool_duration_seconds',
      help: 'How long a call of a tool took; error_type is empty where it succeeded.',
      labelNames: ['gen_ai_operation_name', 'gen_ai_tool_name', 'error_type'],
      buckets: SECONDS,
      registers,
    });

    const attempt = ({ provider, model = '', address = '', port }: AttemptStart): AttemptWatch => {
      const labels = {
        gen_ai_operation_name: 'chat',
        gen_ai_provider_name: provider,
        gen_ai_request_model: model,
        server_address: address,
        server_port: port ?? '',
      };
      const elapsed = stopwatch();
      return {
        firstPart: () => firstChunk.observe(labels, elapsed()),
        ended: ({ error = '', usage }) => {
          duration.observe({ ...labels, error_type: error }, elapsed());
          if (!usage) return;
          tokenUsage.observe({ ...labels, gen_ai_token_type: 'input' }, usage.inputTokens);
          tokenUsage.observe({ ...labels, gen_ai_token_type: 'output' }, usage.outputTokens);
        },
      };
    };
    const tool = ({ name }: { name: string }): ((failed: boolean) => void) => {
      const elapsed = stopwatch();
      return (failed) => {
        const labels = { gen_ai_operation_name: 'execute_tool', gen_ai_tool_name: name };
        toolTime.observe({ ...labels, error_type: failed ? 'tool_error' : '' }, elapsed());
      };
    };
    this.observers.add({ begin: () => ({ attempt, tool }) });
  }
}

/** @returns gives the seconds since now */
function stopwatch(): () => number {
  const begun = performance.now();
  return () => (performance.now() - begun) / 1_000;
}
