/** What is compared, and how each is started. */
import type { Wire } from './clients.ts';

export const CONTENDERS = [
  'socketio-relay',
  'ws-relay',
  'ai-stream-text',
  'ai-resumable',
  'mooring-memory',
  'mooring-sqlite',
  'mooring-redis',
  'mooring-redis-2',
  'mooring-redis-2-apart',
  'mooring-redis-4',
] as const;
export type Contender = (typeof CONTENDERS)[number];

/** How many gateways use one Redis, of those contenders that have one. */
export const REDIS_NODES: Partial<Record<Contender, number>> = {
  'mooring-redis': 1,
  'mooring-redis-2': 2,
  'mooring-redis-2-apart': 2,
  'mooring-redis-4': 4,
};

/** All ratios are to this one. */
export const BASE: Contender = 'socketio-relay';

export interface Recipe {
  wire: Wire;
  /** Relative to the project's root. */
  program: string;
  env: Record<string, string>;
}

export interface Surroundings {
  upstreamUrl: string;
  redisUrl?: string;
  /** Which of its gateways, from 0. */
  node: number;
  /** A folder of this start's own. */
  dataDir: string;
}

export function recipeOf(
  contender: Contender,
  { upstreamUrl, redisUrl, dataDir, node }: Surroundings,
): Recipe {
  const program = `bench/contenders/${contender}.ts`;
  const env = { UPSTREAM_URL: upstreamUrl };
  switch (contender) {
    case 'ws-relay':
      return { wire: 'ws', program, env };
    case 'socketio-relay':
      return { wire: 'socketio', program, env };
    case 'ai-stream-text':
      return { wire: 'http', program, env };
    case 'ai-resumable':
      return { wire: 'http', program, env: { ...env, REDIS_URL: redisUrl ?? '' } };
    case 'mooring-memory':
      return mooring('memory', upstreamUrl, dataDir);
    case 'mooring-sqlite':
      return mooring('sqlite', upstreamUrl, dataDir);
    case 'mooring-redis':
    case 'mooring-redis-2':
    case 'mooring-redis-4': {
      const recipe = mooring('redis', upstreamUrl, dataDir);
      return { ...recipe, env: { ...recipe.env, REDIS_URL: redisUrl ?? '' } };
    }
    case 'mooring-redis-2-apart': {
      // A database of its own for each: they do the same work and share nothing but the machine.
      const recipe = mooring('redis', upstreamUrl, dataDir);
      return { ...recipe, env: { ...recipe.env, REDIS_URL: `${redisUrl}/${node}` } };
    }
  }
}

/** As delivered, but for the limits that one machine full of clients would hit. */
function mooring(store: string, upstreamUrl: string, dataDir: string): Recipe {
  const env = {
    PORT: '0',
    HOST: '127.0.0.1',
    STORE: store,
    DATA_DIR: dataDir,
    OPENAI_BASE_URL: upstreamUrl,
    MODEL: 'bench',
    MAX_SOCKETS_PER_IP: '1000000',
    MAX_TURNS: '1000000',
    LOG_LEVEL: 'warn',
  };
  return { wire: 'mooring', program: 'dist/main.js', env };
}
