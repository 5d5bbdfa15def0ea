import 'reflect-metadata';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ListenOptions } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NextFunction, Request, Response } from 'express';
import { PinoLogger } from 'nestjs-pino';
import { AppModule } from './app.module.js';
import type { ModelProvider } from './agents/model.provider.js';
import type { Config } from './config.js';
import { SocketAdapter } from './gateway/socket.adapter.js';
import { GatewayLogger } from './ops/gateway.logger.js';
import { answerBodyError } from './projections/body.errors.js';
import { LIMITS } from './protocol.js';

const WEB_DIR = fileURLToPath(new URL('../web/dist', import.meta.url));
const ASSETS_DIR = join(WEB_DIR, 'assets');

/**
 * Connections that the kernel keeps until they are accepted, as far as its own limit lets it (net.core.somaxconn).
 * Past that it drops them, and those who come wait for seconds until they try again.
 */
const BACKLOG = 16_384;

/** The page runs its own files only, and talks to nobody but this server. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "connect-src 'self' ws: wss:",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

export interface RunningGateway {
  app: NestExpressApplication;
  /** Where to open it in a browser. */
  url: string;
}

/**
 * Starts a gateway and resolves when it listens.
 * @param model answers instead of the one that the configuration names
 * @throws an error that says what is wrong with the configuration, the agents, the data folder or the port
 */
export async function startGateway(config: Config, model?: ModelProvider): Promise<RunningGateway> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.forRoot(config, model), {
    // Nest would print a start that fails with its stack; whoever starts says what is wrong in one line.
    logger: false,
    abortOnError: false,
    forceCloseConnections: true,
    bodyParser: false,
  });
  app.useLogger(new GatewayLogger(await app.resolve(PinoLogger), {}));
  app.useWebSocketAdapter(new SocketAdapter(app, config));
  app.disable('x-powered-by');
  app.use((_request: Request, response: Response, next: NextFunction) => {
    response.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Referrer-Policy', 'no-referrer');
    next();
  });
  if (config.corsOrigins) app.enableCors({ origin: [...config.corsOrigins], credentials: true });
  // Nothing else reads a body: what is sent elsewhere is not even parsed.
  app.useBodyParser('json', { limit: LIMITS.bodyBytes, type: isJsonOfApi });
  app.use(answerBodyError);
  app.useStaticAssets(WEB_DIR, { maxAge: 0, setHeaders: keepForever });
  try {
    const at: ListenOptions = { port: config.port, host: config.host, backlog: BACKLOG };
    // Nest hands it on to Node as it is; its own types know only two of the three.
    await app.listen(at as unknown as number);
  } catch (error) {
    await app.close().catch(() => undefined);
    throw listenError(error, config);
  }
  return { app, url: await urlOf(app) };
}

/** The build names these files after what is in them. */
function keepForever(response: ServerResponse, path: string): void {
  if (path.startsWith(ASSETS_DIR)) response.setHeader('Cache-Control', 'public, max-age=31536000, immutable');
}

function isJsonOfApi({ url, headers }: IncomingMessage): boolean {
  return url?.startsWith('/api/') === true && /^application\/json\b/i.test(headers['content-type'] ?? '');
}

function listenError(error: unknown, { host, port }: Config): unknown {
  const { code } = error as { code?: string };
  if (code === 'EADDRINUSE') return new Error(`PORT: ${port} is in use on ${host}; choose another one.`);
  if (code === 'EACCES') return new Error(`PORT: ${port} on ${host} may not be listened to by this user.`);
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new Error(`HOST: ${host} is no address of this machine.`);
  return error;
}

/** A wildcard address listens everywhere but cannot be opened. */
async function urlOf(app: NestExpressApplication): Promise<string> {
  const url = await app.getUrl();
  return url.replace('[::1]', 'localhost').replace('[::]', 'localhost').replace('0.0.0.0', 'localhost');
}
