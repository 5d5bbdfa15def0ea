import { defineConfig } from 'tsdown';

/** One file for each module system: what the package shares with the gateway is part of it. */
// eslint-disable-next-line no-restricted-syntax -- tsdown reads the default export
export default defineConfig({
  entry: 'src/index.ts',
  format: ['esm', 'cjs'],
  platform: 'neutral',
  target: 'es2022',
  dts: true,
  fixedExtension: false,
  tsconfig: 'tsconfig.json',
});
