import type { Blow, Temper } from './plan.ts';
import type { Random } from './random.ts';
import { spread, type Scenario } from './scenario.ts';
import { fickle, flapping, forgetful, steady, unlucky, vanishing } from './tempers.ts';

/*
 * Three nodes on one Redis, whose clients take another node at each connection, and what is done to nodes, to Redis and
 * to the network between them.
 */

const NODES = 3;
/** What every one of them has in common: answers that are amid their way whenever something strikes. */
const SHARED = {
  on: ['redis'],
  nodes: NODES,
  sessions: 10,
  model: { tokens: [20, 120], paceMs: [5, 35] },
  casts: [[steady], [steady, steady], [unlucky, steady], [flapping]],
  sendEveryMs: 1_200,
} satisfies Omit<Scenario, 'says'>;

/** Clients whose connections nobody touches would stay where they are. */
const hopping: Temper = (random, durationMs) => [
  ...unlucky(random, durationMs),
  ...flapping(random, durationMs),
];

/** Sessions that nobody has in memory when Redis loses something: no turn of theirs runs. */
const IDLE = { ...SHARED, model: { tokens: [5, 60], paceMs: [5, 25] }, sendEveryMs: 2_500 } satisfies Omit<
  Scenario,
  'says'
>;

export const CLUSTER: Record<string, Scenario> = {
  hops: {
    ...SHARED,
    says: 'clients that are on another node at each of their many reconnects, two tabs on two nodes, cancels from elsewhere',
    casts: [[flapping], [hopping, steady], [flapping, fickle], [vanishing, forgetful], [steady, unlucky]],
    copies: [1, 5],
    unruly: true,
    trespass: true,
  },
  'node-kills': {
    ...SHARED,
    says: 'SIGKILL of one node after the other amid the streams: others take over its turns',
    blows: (random, durationMs) =>
      spread(random, durationMs, [2_000, 4_000], (at) => ({
        at,
        do: 'kill',
        node: random.int(0, NODES - 1),
        downMs: random.int(0, 4_000),
      })),
  },
  rolling: {
    ...SHARED,
    says: 'SIGTERM of one node after the other amid the streams: clients go on elsewhere, turns finish or are marked',
    blows: (random, durationMs) => {
      let node = 0;
      return spread(random, durationMs, [2_000, 3_500], (at) => ({
        at,
        do: 'stop',
        node: node++ % NODES,
        downMs: random.int(0, 300),
      }));
    },
  },
  'frozen-node': {
    ...SHARED,
    says: 'SIGSTOP of a node for longer than its leases last, and SIGCONT: it writes nothing that is not its own any more',
    blows: (random, durationMs) =>
      spread(random, durationMs, [4_500, 8_000], (at) => ({
        at,
        do: 'freeze',
        node: random.int(0, NODES - 1),
        forMs: random.int(500, 6_000),
      })),
  },
  'cut-off': {
    ...SHARED,
    says: "one node's way to Redis is cut, and what was under way comes late or never: there is one writer",
    blows: (random, durationMs) =>
      spread(random, durationMs, [3_500, 7_000], (at) => ({
        at,
        do: 'cut-off',
        node: random.int(0, NODES - 1),
        forMs: random.int(300, 5_000),
        then: random.pick(['late', 'lost']),
      })),
  },
  'redis-restarts': {
    ...SHARED,
    says: 'SIGKILL of Redis, back with its file, or frozen for a while: turns go on, and nothing is lost',
    blows: (random, durationMs) =>
      spread(random, durationMs, [2_500, 5_000], (at) =>
        random.pick<Blow>([
          { at, do: 'kill-redis', downMs: random.int(0, 2_500) },
          { at, do: 'freeze-redis', forMs: random.int(200, 3_000) },
        ]),
      ),
  },
  'redis-lost': {
    ...IDLE,
    says: 'Redis comes back without its data: new epochs, and what nobody holds any more is made again',
    blows: (random, durationMs) =>
      spread(random, durationMs, [3_500, 6_000], (at) => ({
        at,
        do: 'empty-redis',
        downMs: random.int(0, 1_500),
      })),
  },
  'redis-older': {
    ...IDLE,
    says: 'Redis comes back with the data of some seconds before: never two histories under one epoch',
    blows: (random, durationMs) =>
      spread(random, durationMs, [4_000, 7_000], (at) => ({
        at,
        do: 'older-redis',
        agoMs: random.int(100, 3_000),
        downMs: random.int(0, 1_000),
      })),
  },
  cluster: {
    ...SHARED,
    says: 'all tempers, and all blows that lose nothing: nodes killed, drained, frozen and cut off, Redis killed and frozen',
    sessions: 12,
    model: { ...SHARED.model, faultRate: 0.1 },
    casts: [[steady], [flapping, steady], [hopping, forgetful], [vanishing, fickle], [steady, unlucky]],
    copies: [1, 5],
    unruly: true,
    blows: (random, durationMs) =>
      spread(random, durationMs, [2_000, 4_000], (at) => random.pick(anyOf(random, at))),
  },
};

function anyOf(random: Random, at: number): Blow[] {
  const node = random.int(0, NODES - 1);
  return [
    { at, do: 'kill', node, downMs: random.int(0, 3_000) },
    { at, do: 'stop', node, downMs: 100 },
    { at, do: 'freeze', node, forMs: random.int(500, 4_000) },
    { at, do: 'cut-off', node, forMs: random.int(300, 4_000), then: random.pick(['late', 'lost']) },
    { at, do: 'kill-redis', downMs: random.int(0, 1_500) },
    { at, do: 'freeze-redis', forMs: random.int(200, 2_500) },
  ];
}
