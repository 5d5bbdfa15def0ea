import { createServer, request, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { execFile } from 'node:child_process';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { onDispose, temporaryDirectory } from './gateway.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CLIENT = join(ROOT, 'client', 'dist');
const PACKAGE = {
  'mooring-client/ai': join(CLIENT, 'ai.js'),
  'mooring-client/react': join(CLIENT, 'react.js'),
  'mooring-client': join(CLIENT, 'index.js'),
};

export interface ServedPage {
  url: string;
  /** Tells the page which gateway it talks to; its source names http://localhost:3000. */
  build(gatewayUrl: string): Promise<void>;
}

/**
 * Serves a page as somebody's own application would: built by a bundler, from an origin that is not the gateway's,
 * unless the page asks under `/api`, which is handed on to it as a reverse proxy does.
 */
export async function servePage(source: string): Promise<ServedPage> {
  let script = '';
  let gateway = '';
  const server = createServer((incoming, response) => {
    const { url = '/', method, headers } = incoming;
    if (url.startsWith('/api/')) {
      const outgoing = request(`${gateway}${url}`, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      incoming.pipe(outgoing);
      response.once('close', () => outgoing.destroy());
      return;
    }
    const isScript = url === '/page.js';
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(
      isScript
        ? script
        : '<!doctype html><title>A page</title><link rel="icon" href="data:,"><body><div id="root"></div><script type="module" src="/page.js"></script>',
    );
  });
  server.on('upgrade', ({ url, headers }: IncomingMessage, socket: Socket) => {
    const { hostname, port } = new URL(gateway);
    const onward = connect(Number(port), hostname);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`);
    onward.write([`GET ${String(url)} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward]) end.on('error', () => undefined);
    socket.once('close', () => onward.destroy());
    onDispose(async () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onDispose(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    build: async (gatewayUrl) => {
      gateway = gatewayUrl;
      script = await bundle(source.replaceAll('http://localhost:3000', gatewayUrl));
    },
  };
}

async function bundle(source: string): Promise<string> {
  const folder = await temporaryDirectory();
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  await writeFile(join(folder, 'page.jsx'), source);
  const config = {
    input: 'page.jsx',
    platform: 'browser',
    resolve: { alias: PACKAGE },
    transform: { define: { 'process.env.NODE_ENV': '"development"' } },
    output: { file: 'page.js', format: 'esm', codeSplitting: false },
  };
  await writeFile(join(folder, 'rolldown.config.mjs'), `export default ${JSON.stringify(config)};`);
  // A process of its own, since its native part does not take the objects of jest's realm.
  await run(join(ROOT, 'node_modules', '.bin', 'rolldown'), ['--config', 'rolldown.config.mjs'], {
    cwd: folder,
  });
  return readFile(join(folder, 'page.js'), 'utf8');
}
