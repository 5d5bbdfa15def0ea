import { deadPeers } from './dead-peers.ts';
import { drain } from './drain.ts';
import type { Scenario } from './scenario.ts';
import { slowReaders } from './slow-readers.ts';
import { storm } from './storm.ts';

export const SCENARIOS: readonly Scenario[] = [storm, slowReaders, drain, deadPeers];
