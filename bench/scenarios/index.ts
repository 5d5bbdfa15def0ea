import { full, paced } from './cpu.ts';
import type { Scenario } from './scenario.ts';

export const SCENARIOS: readonly Scenario[] = [paced, full];
