import type { FactoryProvider } from '@nestjs/common';
import { TurnObservers } from '../agents/turn.observer.js';
import { Config } from '../config.js';

/** Where turns are traced to. */
export abstract class Tracing {
  /** Hands over what has ended. */
  abstract flush(): Promise<void>;
}

const NO_TRACING: Tracing = { flush: () => Promise.resolve() };

/** Without an endpoint OpenTelemetry is not even loaded. */
export const tracingProvider: FactoryProvider<Tracing> = {
  provide: Tracing,
  inject: [Config, TurnObservers],
  useFactory: async ({ tracing }: Config, observers: TurnObservers) => {
    if (!tracing) return NO_TRACING;
    const { OtelTracing } = await import('./otel.tracing.js');
    const made = new OtelTracing(tracing);
    observers.add(made);
    return made;
  },
};
