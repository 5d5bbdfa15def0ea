import { Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { LoggerModule } from 'nestjs-pino';
import { AgentCatalog } from './agents/agent.catalog.js';
import { AgentLoopService } from './agents/agent-loop.service.js';
import { DetachPolicy } from './agents/detach.policy.js';
import { ModelProvider } from './agents/model.provider.js';
import { ModelSteps } from './agents/model.steps.js';
import { OpenAiModelProvider } from './agents/openai/openai-model.provider.js';
import { ScriptedModelProvider } from './agents/scripted-model.provider.js';
import { ToolRegistry } from './agents/tool.registry.js';
import { CurrentTimeTool } from './agents/tools/current-time.tool.js';
import { TurnRunner } from './agents/turn.runner.js';
import { Clock } from './clock.js';
import { Config } from './config.js';
import { Authenticator } from './gateway/authenticator.js';
import { AddressLimits } from './gateway/address.limits.js';
import { ChatGateway } from './gateway/chat.gateway.js';
import { ConnectPace } from './gateway/connect.pace.js';
import { DrainService } from './gateway/drain.service.js';
import { Handshake } from './gateway/handshake.js';
import { OwnerLimits } from './gateway/rate.limits.js';
import { AdminController, AdminGuard } from './ops/admin.controller.js';
import { HealthController } from './ops/health.controller.js';
import { MetricsController, MetricsService } from './ops/metrics.service.js';
import { AgUiController } from './projections/ag-ui.controller.js';
import { Callers } from './projections/callers.js';
import { ChatController } from './projections/chat.controller.js';
import { ChatSocket } from './projections/chat.socket.js';
import { Conversations } from './projections/conversations.js';
import { HttpGuard } from './projections/http.guard.js';
import { ActiveSessions } from './sessions/embedded/active.sessions.js';
import { EmbeddedFeed } from './sessions/embedded/embedded.feed.js';
import { EmbeddedLease } from './sessions/embedded/embedded.lease.js';
import { EmbeddedStore } from './sessions/embedded/embedded.store.js';
import { MemoryTables } from './sessions/memory/memory.tables.js';
import { SessionTables } from './sessions/embedded/session.tables.js';
import { SqliteTables } from './sessions/sqlite/sqlite.tables.js';
import { StoreMaintenance } from './sessions/embedded/store.maintenance.js';
import { SessionBindings } from './sessions/session.bindings.js';
import { SessionFeed } from './sessions/session.feed.js';
import { SessionReaper } from './sessions/session.reaper.js';
import { SessionService } from './sessions/session.service.js';
import { SessionStore } from './sessions/session.store.js';
import { TurnLease } from './sessions/turn.lease.js';
import { FlushClock } from './streaming/flush.clock.js';
import { StreamingService } from './streaming/session.emitter.js';

/** The embedded store behind the three ports; another engine is another list like this one. */
const EMBEDDED_STORE = [
  {
    provide: SessionTables,
    inject: [Config, Clock],
    useFactory: (config: Config, clock: Clock): SessionTables =>
      config.store === 'memory' ? new MemoryTables() : SqliteTables.open({ dataDir: config.dataDir, clock }),
  },
  {
    provide: ActiveSessions,
    inject: [SessionTables, Clock],
    useFactory: (tables: SessionTables, clock: Clock) => new ActiveSessions(tables, clock),
  },
  { provide: SessionStore, useClass: EmbeddedStore },
  { provide: TurnLease, useClass: EmbeddedLease },
  { provide: SessionFeed, useClass: EmbeddedFeed },
  StoreMaintenance,
];

/** The composition root. */
@Module({})
export class AppModule implements OnApplicationShutdown {
  constructor(private readonly tables: SessionTables) {}

  static forRoot(config: Config, model?: ModelProvider): DynamicModule {
    return {
      module: AppModule,
      imports: [
        DiscoveryModule,
        LoggerModule.forRoot({
          pinoHttp: { level: config.logLevel, autoLogging: false, quietReqLogger: true },
        }),
      ],
      providers: [
        { provide: Config, useValue: config },
        Clock,
        ...EMBEDDED_STORE,
        SessionBindings,
        SessionService,
        SessionReaper,
        FlushClock,
        StreamingService,
        ToolRegistry,
        CurrentTimeTool,
        AgentCatalog,
        {
          provide: ModelProvider,
          inject: [FlushClock],
          useFactory: (clock: FlushClock) =>
            model ??
            (config.vendor ? new OpenAiModelProvider(config.vendor, clock) : new ScriptedModelProvider()),
        },
        ModelSteps,
        TurnRunner,
        DetachPolicy,
        AgentLoopService,
        AddressLimits,
        ConnectPace,
        OwnerLimits,
        Authenticator,
        Handshake,
        ChatGateway,
        DrainService,
        Callers,
        Conversations,
        HttpGuard,
        ChatSocket,
        MetricsService,
        AdminGuard,
      ],
      controllers: [ChatController, AgUiController, HealthController, MetricsController, AdminController],
    };
  }

  /** After the listeners are closed and the sockets are unbound: what they wrote last is kept too. */
  async onApplicationShutdown(): Promise<void> {
    await this.tables.close();
  }
}
