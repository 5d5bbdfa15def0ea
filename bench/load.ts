/** The clients, in a process of their own; the bench tells it what to do, and it says what came. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { makeClient, MooringClient, type Client, type Wire } from './clients.ts';
import { resumes } from './resumes.ts';
import { serve } from './rpc.ts';
import { takeovers } from './takeovers.ts';
import { quantile } from './stats.ts';
import { promptOf, Receipt, type Ask } from './tokens.ts';

export interface ConnectOrder {
  wire: Wire;
  /** Clients take turns with them. */
  urls: readonly string[];
  count: number;
  /** How many connects are under way at once. */
  concurrency?: number;
}

/** Milliseconds; CPU time of this process in µs. */
export interface Connected {
  ms: number;
  cpu: number;
}

export interface AnswersOrder {
  ask: Ask;
  /** How many of the connected clients ask; all by default. */
  clients?: number;
  /** How many answers each client gets, one after the other. */
  times?: number;
  /** The first asks are spread evenly over so many milliseconds. */
  spreadMs?: number;
}

/** Times in milliseconds. */
export interface Answered {
  ms: number;
  answers: number;
  tokens: number;
  /** Answers that lacked tokens, or had them twice, altered or out of order. */
  lost: number;
  /** From a token's sending upstream to its receipt; of stamped answers only. */
  firstP50: number;
  firstP99: number;
  tokenP50: number;
  tokenP99: number;
  firsts: number;
  /** How late this process's own event loop was. */
  lateP99: number;
  /** CPU time of this process in µs. */
  cpu: number;
}

export interface OpensOrder {
  url: string;
  sessionId: string;
  key: string;
  times: number;
}

/** Milliseconds from the handshake until the session is there, of each open. */
export interface Opened {
  /** By a client that knows nothing. */
  snapshots: number[];
  /** By one that is up to date. */
  resumes: number[];
}

let clients: Client[] = [];

async function connect({ wire, urls, count, concurrency = 200 }: ConnectOrder): Promise<Connected> {
  const made = Array.from({ length: count }, (_, index) => makeClient(wire, urls[index % urls.length] ?? ''));
  clients.push(...made);
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const waiting = made.values();
  const work = async (): Promise<void> => {
    for (const client of waiting) await client.connect();
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, work));
  return { ms: performance.now() - begin, cpu: cpuSince(cpu) };
}

async function answers({ ask, times = 1, spreadMs = 0, ...order }: AnswersOrder): Promise<Answered> {
  const asking = clients.slice(0, order.clients);
  const delays: number[] = [];
  const firsts: number[] = [];
  let lost = 0;
  let tokens = 0;
  const prompt = promptOf(ask);
  const cpu = process.cpuUsage();
  const loop = monitorEventLoopDelay({ resolution: 2 });
  loop.enable();
  const begin = performance.now();
  const one = async (client: Client, index: number): Promise<void> => {
    if (spreadMs > 0) await pause((spreadMs * index) / asking.length);
    for (let time = 0; time < times; time += 1) {
      const receipt = new Receipt(ask, (micros, token) => (token === 0 ? firsts : delays).push(micros));
      await client.ask(prompt, (text) => receipt.take(text));
      tokens += receipt.received;
      if (!receipt.whole) lost += 1;
    }
  };
  await Promise.all(asking.map(one));
  loop.disable();
  const all = firsts.concat(delays);
  return {
    ms: performance.now() - begin,
    answers: asking.length * times,
    tokens,
    lost,
    firstP50: quantile(firsts, 0.5) / 1_000,
    firstP99: quantile(firsts, 0.99) / 1_000,
    tokenP50: quantile(all, 0.5) / 1_000,
    tokenP99: quantile(all, 0.99) / 1_000,
    firsts: firsts.length,
    lateP99: Math.max(0, loop.percentile(99) / 1e6 - 2),
    cpu: cpuSince(cpu),
  };
}

/** Opens one session again and again, each time by a client that knows nothing, then by one that is up to date. */
async function opens({ url, sessionId, key, times }: OpensOrder): Promise<Opened> {
  const [snapshots, resumes]: [number[], number[]] = [[], []];
  for (let time = 0; time < times; time += 1) {
    const client = new MooringClient(url);
    Object.assign(client, { sessionId, key });
    for (const taken of [snapshots, resumes]) {
      await client.connect();
      taken.push(client.handshakeMs);
      if (client.lastOpened?.recovered !== (taken === resumes)) throw new Error('the wrong kind of open');
      await client.close();
    }
  }
  return { snapshots, resumes };
}

async function close(): Promise<void> {
  const closing = clients;
  clients = [];
  await Promise.all(closing.map((client) => client.close()));
}

function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

serve({ connect, answers, opens, resumes, takeovers, close });
process.send?.({ ready: '' });
