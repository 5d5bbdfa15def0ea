import { CLUSTER } from './scenarios.cluster.ts';
import {
  credentials,
  sends,
  STORES,
  type Act,
  type Blow,
  type ClientPlan,
  type ModelPlan,
  type Phase,
  type Plan,
  type SessionPlan,
  type Store,
  type Transport,
} from './plan.ts';
import { Random } from './random.ts';
import { spread, type Scenario } from './scenario.ts';
import { fickle, flapping, forgetful, slow, steady, trespassing, unlucky, vanishing } from './tempers.ts';

const MODEL: ModelPlan = { tokens: [3, 60], paceMs: [2, 30], tokenLength: 0, faultRate: 0, toolRate: 0.15 };
const TRANSPORTS: Transport[] = ['websocket', 'websocket', 'polling', 'upgrade'];
const HOUR_MS = 3_600_000;
/** Scenarios that restart the process need what a restart keeps. */
const KEPT: readonly Store[] = ['sqlite', 'redis'];

const ALONE: Record<string, Scenario> = {
  calm: {
    says: 'nothing is done to anybody: steady clients, two tabs, keys tried on the doors of others',
    sessions: 10,
    casts: [[steady], [steady, steady], [fickle, steady]],
    sendEveryMs: 900,
    unruly: true,
    trespass: true,
  },
  flapping: {
    says: 'clients that reconnect up to fifty times a turn, and pages that are loaded again',
    model: { tokens: [40, 120], paceMs: [10, 40] },
    sessions: 8,
    casts: [[flapping], [flapping, flapping], [flapping, forgetful]],
    sendEveryMs: 1_800,
  },
  cuts: {
    says: 'resets, half-open connections, stalls, cuts within a frame, and clients that vanish without a word',
    model: { tokens: [20, 100] },
    sessions: 8,
    patient: true,
    casts: [[unlucky], [unlucky, vanishing], [vanishing], [unlucky, steady]],
    sendEveryMs: 1_200,
  },
  'slow-readers': {
    says: 'clients that do not read for seconds, amid answers of megabytes',
    model: { tokens: [500, 900], paceMs: [0, 1], tokenLength: 16_000, toolRate: 0 },
    sessions: 2,
    casts: [[slow], [slow, steady]],
    sendEveryMs: 5_000,
  },
  duplicates: {
    says: 'the same message up to a hundred times, from two tabs at once, across resets',
    sessions: 6,
    casts: [
      [steady, steady],
      [unlucky, steady],
    ],
    sendEveryMs: 1_500,
    copies: [10, 50],
  },
  provider: {
    says: "the model's stream hangs, stalls, is reset (also within a character), garbled, refused, or never finished",
    model: { faultRate: 0.6, tokens: [1, 30] },
    sessions: 12,
    casts: [[steady], [fickle]],
    sendEveryMs: 900,
  },
  crash: {
    says: 'SIGKILL amid the streams, and a start on the same data',
    on: KEPT,
    sessions: 12,
    model: { tokens: [20, 100] },
    casts: [[steady], [steady, unlucky], [flapping]],
    sendEveryMs: 1_000,
    blows: (random, durationMs) =>
      spread(random, durationMs, [2_500, 4_500], (at) => ({ at, do: 'kill', downMs: random.int(0, 600) })),
  },
  drain: {
    says: 'SIGTERM amid the streams: turns finish or are marked, and the process ends with 0',
    on: KEPT,
    sessions: 8,
    model: { tokens: [20, 120], paceMs: [10, 40] },
    casts: [[steady], [steady, steady]],
    sendEveryMs: 1_200,
    blows: (random, durationMs) =>
      spread(random, durationMs, [2_500, 5_000], (at) => ({ at, do: 'stop', downMs: random.int(0, 300) })),
  },
  'disk-full': {
    says: 'nothing can be written for a while: sends are refused before the acknowledgement, reads go on',
    on: ['sqlite'],
    sessions: 8,
    casts: [[steady], [steady, flapping]],
    sendEveryMs: 800,
    blows: (random, durationMs) =>
      spread(random, durationMs, [800, 2_500], (at) => ({
        at,
        do: 'fill-disk',
        forMs: random.int(300, 1_500),
      })),
  },
  clock: {
    says: "the system's clock moves by an hour, back and forth, and nothing expires early",
    on: KEPT,
    env: { SESSION_TTL: '30m', RESUME_WINDOW: '30m' },
    sessions: 6,
    casts: [[steady], [flapping]],
    sendEveryMs: 1_000,
    blows: (random, durationMs) => {
      const moves = spread(random, durationMs, [500, 1_500], (at) => ({
        at,
        do: 'move-clock',
        shiftMs: random.pick([HOUR_MS, -HOUR_MS, 0]),
      }));
      // A start after the clock was set back. One after it was set forward may expire what was long alone.
      const restart: Blow = { at: Math.round(durationMs * 0.6), do: 'kill', downMs: 0, shiftMs: -HOUR_MS };
      return [...moves, restart].sort((one, other) => one.at - other.at);
    },
  },
  churn: {
    says: 'sessions come, talk and end, wave after wave; afterwards memory, timers and sockets are as before',
    sessions: 15,
    phases: 4,
    patient: true,
    // A poll that is never repeated holds its place for twenty seconds.
    transports: ['websocket'],
    casts: [[steady], [flapping, steady], [fickle, forgetful]],
    sendEveryMs: 700,
    model: { tokens: [1, 30], paceMs: [0, 10] },
  },
  everything: {
    says: 'all tempers and all blows at once',
    on: ['sqlite'],
    sessions: 16,
    model: { faultRate: 0.15 },
    casts: [
      [steady],
      [flapping, steady],
      [unlucky, forgetful],
      [vanishing, fickle],
      [slow, unlucky],
      [steady, flapping, vanishing],
    ],
    sendEveryMs: 1_500,
    copies: [1, 5],
    unruly: true,
    trespass: true,
    blows: (random, durationMs) =>
      spread(random, durationMs, [2_500, 5_000], (at) =>
        random.pick<Blow>([
          { at, do: 'kill', downMs: random.int(0, 400) },
          { at, do: 'kill', downMs: 0 },
          { at, do: 'stop', downMs: 100 },
          { at, do: 'fill-disk', forMs: random.int(200, 800) },
          { at, do: 'move-clock', shiftMs: random.pick([HOUR_MS, -HOUR_MS]) },
        ]),
      ),
  },
};

export const SCENARIOS: Record<string, Scenario> = { ...ALONE, ...CLUSTER };

export interface Where {
  /** The scenario's own by default. */
  store?: Store;
  nodes?: number;
}

/** What a scenario is played on; undefined where it needs another store. */
export function storeOf(name: string, where: Where): Store | undefined {
  const { on = STORES } = scenarioOf(name);
  const store = where.store ?? on[0] ?? 'sqlite';
  return on.includes(store) ? store : undefined;
}

/**
 * The plan that these words name, always the same.
 * @throws Error where the scenario needs another store
 */
export function planOf(name: string, seed: number, seconds: number, where: Where): Plan {
  const scenario = scenarioOf(name);
  const store = storeOf(name, where);
  if (!store) throw new Error(`${name} is not for the ${where.store} store`);
  const count = scenario.phases ?? 1;
  const nodes = store === 'redis' ? (where.nodes ?? scenario.nodes ?? 1) : 1;
  return {
    scenario: name,
    seed,
    store,
    nodes,
    env: scenario.env ?? {},
    model: { ...MODEL, ...scenario.model },
    patient: scenario.patient ?? false,
    phases: Array.from({ length: count }, (_, index) =>
      phaseOf(store === 'redis' ? onRedis(scenario) : scenario, name, seed, seconds / count, index),
    ),
  };
}

function scenarioOf(name: string): Scenario {
  const scenario = SCENARIOS[name];
  if (!scenario) throw new Error(`there is no scenario ${name}`);
  return scenario;
}

/** Several requests of one transport reach several nodes there: nodes that share a Redis take WebSockets only. */
function onRedis(scenario: Scenario): Scenario {
  return { ...scenario, transports: ['websocket'] };
}

function phaseOf(scenario: Scenario, name: string, seed: number, seconds: number, index: number): Phase {
  const durationMs = seconds * 1_000;
  const first = 1 + index * scenario.sessions;
  const numbers = Array.from({ length: scenario.sessions }, (_, offset) => first + offset);
  return {
    seconds,
    sessions: numbers.map((number) => sessionOf(scenario, name, seed, durationMs, number, numbers)),
    blows: scenario.blows?.(Random.of(seed, name, 'blows', index), durationMs) ?? [],
  };
}

function sessionOf(
  scenario: Scenario,
  name: string,
  seed: number,
  durationMs: number,
  number: number,
  all: number[],
): SessionPlan {
  const random = Random.of(seed, name, 'session', number);
  const cast = random.pick(scenario.casts);
  const others = all.filter((each) => each !== number);
  const clients = cast.map((temper, index): ClientPlan => {
    const acts: Act[] = [
      ...temper(random, durationMs),
      ...mainActs(scenario, random, number, index, durationMs),
    ];
    if (scenario.trespass && index === 0) acts.push(...trespassing(others)(random, durationMs));
    const transport = random.pick(scenario.transports ?? TRANSPORTS);
    return { name: `${number}${'abc'[index]}`, transport, acts: acts.sort((a, b) => a.at - b.at) };
  });
  const [main, twin] = clients;
  // The same message from two sockets, at nearly the same time.
  if (scenario.copies && main && twin) {
    const doubled = main.acts.filter((act) => act.do === 'send').filter(() => random.chance(0.7));
    twin.acts = [...twin.acts, ...doubled.map((act) => ({ ...act, at: act.at + random.int(0, 40) }))].sort(
      (a, b) => a.at - b.at,
    );
  }
  return { number, ...credentials(seed, name, number), clients };
}

/** The first client sends as often as the scenario says, others now and then. */
function mainActs(
  scenario: Scenario,
  random: Random,
  session: number,
  index: number,
  durationMs: number,
): Act[] {
  const every = scenario.sendEveryMs * (index === 0 ? 1 : 4);
  const { copies, unruly } = scenario;
  return sends(random, session, 1 + index * 10_000, { every, durationMs, copies, unruly });
}
