import { randomUUID } from 'node:crypto';
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
import { TurnObservers } from './agents/turn.observer.js';
import { TurnRunner } from './agents/turn.runner.js';
import { TurnWorkers } from './agents/turn.workers.js';
import { Clock } from './clock.js';
import { Config } from './config.js';
import { Authenticator } from './gateway/authenticator.js';
import { AddressLimits } from './gateway/address.limits.js';
import { ChatGateway } from './gateway/chat.gateway.js';
import { ConnectPace } from './gateway/connect.pace.js';
import { DrainService } from './gateway/drain.service.js';
import { Handshake } from './gateway/handshake.js';
import { OwnerLimits } from './gateway/rate.limits.js';
import { requestContext } from './gateway/request.context.js';
import { AdminController } from './ops/admin.controller.js';
import { AdminGuard } from './ops/admin.guard.js';
import { AdminNodeController } from './ops/admin-node.controller.js';
import { AdminSessionsService } from './ops/admin.sessions.js';
import { AuditLog } from './ops/audit.log.js';
import { ConsoleController } from './ops/console.controller.js';
import { HealthController } from './ops/health.controller.js';
import { METRICS, MetricsController, MetricsService } from './ops/metrics.service.js';
import { NodeStats } from './ops/node.stats.js';
import { tracingProvider } from './ops/tracing.js';
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
import { RedisLeases } from './sessions/redis/redis.leases.js';
import { RedisAppends } from './sessions/redis/redis.appends.js';
import { RedisClock } from './sessions/redis/redis.clock.js';
import { RedisFeed } from './sessions/redis/redis.feed.js';
import { RedisLink } from './sessions/redis/redis.link.js';
import { RedisList } from './sessions/redis/redis.list.js';
import { RedisNodes } from './sessions/redis/redis.nodes.js';
import { RedisReader } from './sessions/redis/redis.reader.js';
import { RedisSessions } from './sessions/redis/redis.sessions.js';
import { RedisStore } from './sessions/redis/redis.store.js';
import { RedisTurnLease } from './sessions/redis/redis.lease.js';
import { SessionTables } from './sessions/embedded/session.tables.js';
import { SqliteTables } from './sessions/sqlite/sqlite.tables.js';
import { StoreMaintenance } from './sessions/embedded/store.maintenance.js';
import { SessionBindings } from './sessions/session.bindings.js';
import { SessionFeed } from './sessions/session.feed.js';
import { SessionReaper } from './sessions/session.reaper.js';
import { SessionService } from './sessions/session.service.js';
import { SessionStore, StoreEngine } from './sessions/session.store.js';
import { TurnLease } from './sessions/turn.lease.js';
import { FlushClock } from './streaming/flush.clock.js';
import { StreamingService } from './streaming/session.emitter.js';

/** The embedded store behind the three ports; another engine is another list like this one. */
const EMBEDDED_STORE = [
  Clock,
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
  { provide: StoreEngine, useExisting: SessionTables },
  StoreMaintenance,
];

/** The same ports on Redis, for many nodes. */
const REDIS_STORE = [
  {
    provide: RedisLink,
    inject: [Config],
    useFactory: ({ redisUrl = '' }: Config) => new RedisLink(redisUrl),
  },
  {
    provide: RedisSessions,
    inject: [RedisLink, Clock, Config],
    useFactory: (link: RedisLink, clock: Clock, { resumeWindowMs }: Config) =>
      new RedisSessions(link, clock, { resumeWindowMs }),
  },
  { provide: Clock, useClass: RedisClock },
  RedisLeases,
  RedisAppends,
  RedisNodes,
  RedisReader,
  RedisList,
  { provide: SessionStore, useClass: RedisStore },
  { provide: TurnLease, useClass: RedisTurnLease },
  { provide: SessionFeed, useClass: RedisFeed },
  { provide: StoreEngine, useExisting: RedisNodes },
];

/** The composition root. */
@Module({})
export class AppModule implements OnApplicationShutdown {
  constructor(private readonly engine: StoreEngine) {}

  static forRoot(config: Config, model?: ModelProvider): DynamicModule {
    return {
      module: AppModule,
      imports: [
        DiscoveryModule,
        LoggerModule.forRoot({
          pinoHttp: {
            level: config.logLevel,
            autoLogging: false,
            quietReqLogger: true,
            customAttributeKeys: { reqId: 'request' },
            genReqId: () => randomUUID(),
            // A copy: pino writes the rest of the line into it.
            mixin: () => ({ ...requestContext.getStore() }),
          },
        }),
      ],
      providers: [
        { provide: Config, useValue: config },
        ...(config.store === 'redis' ? REDIS_STORE : EMBEDDED_STORE),
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
        TurnObservers,
        TurnRunner,
        DetachPolicy,
        TurnWorkers,
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
        tracingProvider,
        ...METRICS,
        MetricsService,
        NodeStats,
        AuditLog,
        AdminGuard,
        AdminSessionsService,
      ],
      controllers: [
        ChatController,
        AgUiController,
        HealthController,
        MetricsController,
        AdminController,
        AdminNodeController,
        ConsoleController,
      ],
    };
  }

  /** After the listeners are closed and the sockets are unbound: what they wrote last is kept too. */
  async onApplicationShutdown(): Promise<void> {
    await this.engine.close();
  }
}
