import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const CLIENT = fileURLToPath(new URL('../client/src', import.meta.url));
/** For `npm run start:web`, which serves the page while it is being written. */
const GATEWAY = 'http://localhost:3000';

/**
 * The shell of the console goes into a folder from which no file is served by its name: the gateway gives it where
 * there is an admin, and is silent about it where there is none.
 */
const unlistedConsole: Plugin = {
  name: 'unlisted-console',
  enforce: 'post',
  generateBundle(_options, bundle) {
    const shell = bundle['console.html'];
    if (shell?.type !== 'asset') throw new Error('console.html is not among what was built');
    delete bundle['console.html'];
    this.emitFile({ type: 'asset', fileName: '.console/index.html', source: shell.source });
  },
};

// eslint-disable-next-line no-restricted-syntax -- Vite reads the default export
export default defineConfig({
  plugins: [unlistedConsole],
  resolve: {
    alias: {
      'mooring-client/react': `${CLIENT}/react.ts`,
      'mooring-client': `${CLIENT}/index.ts`,
    },
  },
  build: {
    target: 'baseline-widely-available',
    chunkSizeWarningLimit: 1_000,
    // The page holds code of others, whose licences want to be named with it.
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      input: ['index.html', 'console.html'].map((name) => fileURLToPath(new URL(name, import.meta.url))),
      // Of libraries that name the sides of a server that renders; this page has one side.
      onLog: (level, log, handle) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && handle(level, log),
    },
  },
  server: {
    proxy: {
      '/socket.io': { target: GATEWAY, ws: true },
      '/api': { target: GATEWAY, ws: true },
      '/admin': { target: GATEWAY },
    },
  },
});
