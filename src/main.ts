import { Logger } from '@nestjs/common';
import { ModelProvider } from './agents/model.provider.js';
import { startGateway, type RunningGateway } from './bootstrap.js';
import { configHelp, readConfig, type Config } from './config.js';
import { DrainService } from './gateway/drain.service.js';

/** Node's own SQLite and iterator helpers are there without a flag from here on. */
const NODE_MAJOR_MIN = 24;
/** What a stop may take beyond the drain itself, before it is forced. */
const STOP_MARGIN_MS = 5_000;

async function main(): Promise<void> {
  if (process.argv.slice(2).some((word) => word === '--help' || word === '-h')) {
    process.stdout.write(configHelp());
    return;
  }
  const major = Number(process.versions.node.split('.')[0]);
  if (major < NODE_MAJOR_MIN) {
    throw new Error(`Mooring needs Node.js ${NODE_MAJOR_MIN} or later; this is ${process.versions.node}.`);
  }
  const config = readConfig();
  const gateway = await startGateway(config);
  const logger = new Logger('Mooring');
  logger.log(`answers come from ${gateway.app.get(ModelProvider).description}`);
  if (config.auth.mode === 'anonymous' && config.auth.ignored)
    warn(
      `${config.auth.ignored} is set and AUTH is not: no token is looked at. Set AUTH=jwt.`,
      config,
      logger,
    );
  if (isOpenToAnyone(config)) {
    const warning =
      `ANYONE WHO REACHES ${gateway.url} SPENDS THE KEY OF ${config.vendor?.baseUrl}: ` +
      'sessions are anonymous and HOST is public. Set AUTH=jwt, or listen on 127.0.0.1.';
    warn(warning, config, logger);
  }
  announce(gateway.url, config, logger);
  stopOnSignals(gateway, config, logger);
}

/** One line with the URL, whatever the log level hides. */
function announce(url: string, config: Config, logger: Logger): void {
  const line = `Mooring is ready: open ${url}`;
  if (['info', 'debug', 'trace'].includes(config.logLevel)) logger.log(line);
  else process.stdout.write(`${line}\n`);
}

/** Whatever the log level hides. */
function warn(warning: string, config: Config, logger: Logger): void {
  if (['silent', 'fatal', 'error'].includes(config.logLevel)) process.stderr.write(`${warning}\n`);
  else logger.warn(warning);
}

function isOpenToAnyone({ auth, vendor, host }: Config): boolean {
  const local = host === 'localhost' || host === '::1' || host.startsWith('127.');
  return auth.mode === 'anonymous' && vendor?.apiKey !== undefined && !local;
}

/** The first signal drains; a second one, or a stop that takes too long, ends the process at once. */
function stopOnSignals({ app }: RunningGateway, config: Config, logger: Logger): void {
  let stopping = false;
  let signalled = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => {
      logger.error('the stop took too long');
      process.exit(1);
    }, config.drainTimeoutMs + STOP_MARGIN_MS).unref();
    app.close().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ err: error, msg: 'the stop failed' });
        process.exit(1);
      },
    );
  };
  const signal = (name: NodeJS.Signals): void => {
    if (signalled) process.exit(1);
    signalled = true;
    logger.log(`${name}: stopping`);
    stop();
  };
  // Asked for by the admin API: a signal that comes then is still the first one.
  app.get(DrainService).onRequested(stop);
  process.on('SIGTERM', signal);
  process.on('SIGINT', signal);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
