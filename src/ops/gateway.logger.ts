import { Logger } from 'nestjs-pino';

/** Where Nest itself tells of every route and module that it finds. */
const FRAMEWORK: ReadonlySet<unknown> = new Set([
  'InstanceLoader',
  'NestApplication',
  'NestFactory',
  'RouterExplorer',
  'RoutesResolver',
  'WebSocketsController',
]);

/** Structured logs in which an operator finds the gateway's own words; the framework's are at level debug. */
export class GatewayLogger extends Logger {
  override log(message: unknown, ...params: unknown[]): void {
    if (FRAMEWORK.has(params.at(-1))) super.debug(message, ...params);
    else super.log(message, ...params);
  }
}
