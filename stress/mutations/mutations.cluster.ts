import type { Mutation } from './mutations.ts';

const SCRIPTS = 'sessions/redis/redis.scripts.js';

/** Whoever had a session's turns once writes on: neither the fence nor the number of an append is looked at. */
const UNFENCED: Mutation['edits'] = [
  ["  elseif held ~= fence then\n    reply = 'deposed'", "  elseif false then\n    reply = 'deposed'"],
  ['elseif tonumber(appends) == tonumber(number) then', 'elseif false then'],
  ['elseif tonumber(appends) + 1 ~= tonumber(number) then', 'elseif false then'],
  ["if held ~= ARGV[7] then return {'deposed'} end", ''],
  ["  elseif held ~= fence then reply = 'deposed'", ''],
  ["  elseif tonumber(appends) < tonumber(number) then reply = 'lost'", ''],
];

/** Of several nodes on one Redis. */
export const CLUSTER_MUTATIONS: Mutation[] = [
  {
    name: 'a node is told of nothing that others do',
    scenario: 'hops',
    invariant: 'I7',
    file: SCRIPTS,
    edits: [["redis.call('PUBLISH', '${CHANNEL}' .. node, message)", 'message = message']],
  },
  {
    name: 'nobody looks for turns that a dead node left',
    scenario: 'node-kills',
    seconds: 10,
    invariant: 'I3',
    file: 'sessions/redis/redis.lease.js',
    edits: [['if (!this.nodes.steady)\n', 'if (this.nodes)\n']],
  },
  {
    name: 'a stop does not wait for running turns',
    scenario: 'rolling',
    seconds: 10,
    invariant: 'I3',
    file: 'gateway/drain.service.js',
    edits: [['await this.loop.drain(drainTimeoutMs);', '']],
  },
  {
    name: 'fences are not checked where events are written',
    scenario: 'frozen-node',
    seconds: 20,
    invariant: 'I3',
    file: SCRIPTS,
    edits: UNFENCED,
  },
  {
    name: 'neither the fence nor the number of an append is looked at',
    scenario: 'cut-off',
    seconds: 20,
    invariant: 'I1',
    file: SCRIPTS,
    edits: UNFENCED,
  },
  {
    name: 'an append whose answer was lost is made again, whatever its number',
    scenario: 'redis-restarts',
    seconds: 20,
    invariant: 'I1',
    file: SCRIPTS,
    edits: [
      ['elseif tonumber(appends) == tonumber(number) then', 'elseif false then'],
      ['elseif tonumber(appends) + 1 ~= tonumber(number) then', 'elseif false then'],
    ],
  },
  {
    name: 'a session that is made again has the epoch of the one that was lost',
    scenario: 'redis-lost',
    seconds: 15,
    invariant: 'I2',
    file: SCRIPTS,
    edits: [
      [
        "redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'generation', ARGV[1])\n    epoch = ARGV[2]",
        "redis.call('HSET', KEYS[2], 'epoch', 'one', 'generation', ARGV[1])\n    epoch = 'one'",
      ],
    ],
  },
  {
    name: 'an epoch goes on after Redis was set back',
    scenario: 'redis-older',
    seconds: 15,
    invariant: 'I2',
    file: SCRIPTS,
    edits: [['if generation == ARGV[1] then return known end', 'if known then return known end']],
  },
  {
    name: 'merged deltas are joined in the wrong order',
    scenario: 'cluster',
    invariant: 'I1',
    file: 'sessions/coalescer.js',
    edits: [["pieces.join('')", "pieces.reverse().join('')"]],
  },
];
