import js from '@eslint/js';
import boundaries from 'eslint-plugin-boundaries';
import { defineConfig, globalIgnores } from 'eslint/config';
import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

/** Which folders and root files of src each may import, besides its own files. What is not named is forbidden. */
const LEAVES = ['protocol', 'config', 'clock'];
const MAY_IMPORT = {
  protocol: [],
  clock: [],
  config: ['protocol'],
  sessions: LEAVES,
  streaming: ['sessions', ...LEAVES],
  agents: ['streaming', 'sessions', ...LEAVES],
  gateway: ['agents', 'streaming', 'sessions', ...LEAVES],
  projections: ['gateway', 'agents', 'streaming', 'sessions', ...LEAVES],
  ops: ['gateway', 'agents', 'streaming', 'sessions', ...LEAVES],
  testing: ['root', 'agents', ...LEAVES],
  root: ['ops', 'projections', 'gateway', 'agents', 'streaming', 'sessions', ...LEAVES],
};
const ROOT_FILES = {
  protocol: 'src/protocol.ts',
  config: 'src/{config,redis.url}.ts',
  clock: 'src/clock.ts',
  root: ['src/main.ts', 'src/bootstrap.ts', 'src/app.module.ts'],
};
const FOLDERS = Object.keys(MAY_IMPORT).filter((name) => !(name in ROOT_FILES));
const isAny = (names) => [
  { element: { types: { anyOf: names.filter((name) => FOLDERS.includes(name)) } } },
  { file: { categories: { anyOf: names.filter((name) => name in ROOT_FILES) } } },
];

export default defineConfig(
  globalIgnores(['dist/', 'coverage/', 'data/', '**/node_modules/', '**/dist/']),
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      // Type-only imports cost nothing at run time; files with decorators are left alone by the rule itself.
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: false },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // A port's method is async by contract, also where one adapter has nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
        { selector: 'ExportAllDeclaration[exported=null]', message: 'No `export *`: name what is exported.' },
      ],
    },
  },
  {
    files: ['web/src/**/*.tsx', 'web/src/use-*.ts', 'client/src/use-*.ts'],
    extends: [reactHooks.configs.flat.recommended],
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/**/*.spec.ts'],
    plugins: { boundaries },
    settings: {
      // Sources name './x.js'; without this resolver such an import is unknown, which is an error too.
      'import/resolver': { typescript: { project: './tsconfig.json' } },
      'boundaries/include': ['src/**/*.ts'],
      'boundaries/dependency-nodes': ['import', 'export', 'dynamic-import', 'require'],
      'boundaries/elements': FOLDERS.map((type) => ({ type, pattern: `src/${type}` })),
      'boundaries/files': Object.entries(ROOT_FILES).map(([category, pattern]) => ({ category, pattern })),
    },
    rules: {
      'boundaries/dependencies': [
        'error',
        {
          default: 'disallow',
          policies: Object.entries(MAY_IMPORT).map(([from, to]) => ({
            from: isAny([from]),
            allow: { to: isAny([from, ...to]) },
          })),
        },
      ],
      'boundaries/no-unknown-dependencies': 'error',
      'boundaries/no-unknown-files': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/gateway/**', 'src/**/*.spec.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: '^(socket\\.io|engine\\.io|@nestjs/(websockets|platform-socket\\.io))(/|$)',
              message: 'Only src/gateway knows Socket.IO.',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['src/protocol.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        { patterns: [{ regex: '.', message: 'protocol.ts imports nothing.' }] },
      ],
    },
  },
  {
    // The instruments run without a build of their own and measure the built gateway, which they load at run time:
    // its types can only be named by import().
    files: ['bench/**/*.ts', 'stress/**/*.ts'],
    rules: { '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }] },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/config.ts', 'src/**/*.spec.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Only src/config.ts reads the environment.' },
      ],
      'no-restricted-imports': [
        'error',
        { paths: ['process', 'node:process'].map((name) => ({ name, importNames: ['env'] })) },
      ],
    },
  },
  {
    files: ['src/**/*.spec.ts', 'client/src/**/*.spec.ts', 'web/src/**/*.spec.ts', 'test/**/*.ts'],
    rules: {
      // Matchers such as expect.any() are typed any, and a mock's method is named without being called.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    // Plain JavaScript names the globals of node, of browsers, or of workers, according to its folder.
    rules: { 'no-undef': 'off' },
  },
);
