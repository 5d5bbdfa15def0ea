import { mkdtemp, rm } from 'node:fs/promises';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startGateway as start, type RunningGateway } from '../bootstrap.js';
import { loadConfig } from '../config.js';
import { ScriptedModel, type Answering } from './scripted.model.js';

/** The agents that the package brings: alice, debbie, patricia. */
const AGENTS_DIR = fileURLToPath(new URL('../../agents', import.meta.url));

export interface TestGatewayOptions {
  /** Answers each call of the model; without it they wait for the test, which takes them by `model.nextCall()`. */
  answer?: Answering;
  /**
   * Variables of the configuration, which is that of a gateway but for: a free port, silence, the agents of the
   * package, and a drain of 50 ms. Nothing is taken from the environment of the process. With a vendor's
   * variables, the vendor answers.
   */
  env?: Record<string, string>;
}

/** A real gateway in this process, with a real store, on a free port of 127.0.0.1; only the model is the test's own. */
export interface TestGateway extends AsyncDisposable {
  /** The same after a restart. */
  readonly url: string;
  readonly model: ScriptedModel;
  /** The present one's, for what only its inside tells. */
  readonly app: RunningGateway['app'];
  /** Breaks all connections in the middle of whatever happens, as a lost network does. They may come back at once. */
  readonly dropConnection: () => Promise<void>;
  /**
   * Ends the gateway as a deployment does, and starts another one at the same address with the same data. In
   * between nobody can connect.
   * @param whileDown is waited for in between
   */
  readonly restartGateway: (whileDown?: () => Promise<void> | void) => Promise<void>;
  /** Ends it, and removes its data. */
  readonly close: () => Promise<void>;
}

/** @throws an error that says what is wrong with the configuration, the agents or the data folder */
export async function startGateway({ answer, env = {} }: TestGatewayOptions = {}): Promise<TestGateway> {
  const model = new ScriptedModel(answer);
  const data = await mkdtemp(join(tmpdir(), 'mooring-'));
  const variables = {
    PORT: '0',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'silent',
    AGENTS_DIR,
    STORE: 'sqlite',
    DATA_DIR: data,
    DRAIN_TIMEOUT: '50ms',
    ...env,
  };
  const listen = async (port?: string): Promise<{ running: RunningGateway; connections: Set<Socket> }> => {
    const config = loadConfig({ ...variables, ...(port && { PORT: port }) });
    const running = await start(config, config.vendor ? undefined : model);
    // Before anything else happens: nobody is connected yet.
    return { running, connections: connectionsOf(running.app.getHttpServer()) };
  };

  let { running, connections } = await listen();
  const { url } = running;
  const { port } = new URL(url);
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= end());
  const end = async (): Promise<void> => {
    await running.app.close();
    await rm(data, { recursive: true, force: true });
  };
  return {
    url,
    model,
    get app() {
      return running.app;
    },
    dropConnection: () => breakAll(connections),
    restartGateway: async (whileDown) => {
      await running.app.close();
      await whileDown?.();
      ({ running, connections } = await listen(port));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function connectionsOf(server: Server): Set<Socket> {
  const connections = new Set<Socket>();
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  return connections;
}

/** Resolves when the gateway has noticed. */
async function breakAll(connections: ReadonlySet<Socket>): Promise<void> {
  const closing = [...connections].map((socket) => {
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.destroy();
    return closed;
  });
  await Promise.all(closing);
}
