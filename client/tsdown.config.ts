import { defineConfig } from 'tsdown';

/** For each module system the entries and what they share; what is the gateway's of that is part of the package. */
// eslint-disable-next-line no-restricted-syntax -- tsdown reads the default export
export default defineConfig({
  entry: ['src/index.ts', 'src/ai.ts', 'src/react.ts', 'src/testing.ts'],
  format: ['esm', 'cjs'],
  platform: 'neutral',
  target: 'es2022',
  dts: true,
  fixedExtension: false,
  // The gateway, which whoever tests installs: its types are found in its sources here.
  deps: { neverBundle: ['mooring/testing'] },
  tsconfig: 'tsconfig.json',
});
