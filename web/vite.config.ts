import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const CLIENT = fileURLToPath(new URL('../client/src', import.meta.url));
/** For `npm run start:web`, which serves the page while it is being written. */
const GATEWAY = 'http://localhost:3000';

// eslint-disable-next-line no-restricted-syntax -- Vite reads the default export
export default defineConfig({
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
      // Of libraries that name the sides of a server that renders; this page has one side.
      onLog: (level, log, handle) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && handle(level, log),
    },
  },
  server: {
    proxy: {
      '/socket.io': { target: GATEWAY, ws: true },
      '/api': { target: GATEWAY, ws: true },
    },
  },
});
