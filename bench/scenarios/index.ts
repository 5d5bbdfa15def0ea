import { catchup } from './catchup.ts';
import { connects } from './connects.ts';
import { full, paced } from './cpu.ts';
import { detached, growth, transcripts } from './growth.ts';
import { latency } from './latency.ts';
import { memory } from './memory.ts';
import { nodes, stored, takeover } from './nodes.ts';
import type { Scenario } from './scenario.ts';

export const SCENARIOS: readonly Scenario[] = [
  paced,
  full,
  latency,
  catchup,
  memory,
  connects,
  growth,
  transcripts,
  detached,
  nodes,
  takeover,
  stored,
];
