import { Injectable } from '@nestjs/common';
import type { Ending, PlacedMessage, TurnRequest } from '../session.js';
import { beginTurn } from '../session.rules.js';
import { TurnLease, type DeposedHandler, type NextTurn, type StopHandler } from '../turn.lease.js';
import { LEASE_MS, RedisLeases, type RedisLease } from './redis.leases.js';
import { RedisNodes } from './redis.nodes.js';
import { numbered, readEvents } from './redis.record.js';
import {
  fieldOf,
  KEY,
  readRequest,
  RedisSessions,
  type Decided,
  type Field,
  type RedisCommand,
} from './redis.sessions.js';

/** How often nodes look for turns whose owner is gone. */
const DUE_MS = 500;

/** Leases in Redis, by its clock: whoever claims first runs a session's turns; a node that falls silent loses them. */
@Injectable()
export class RedisTurnLease extends TurnLease {
  override readonly sweepMs = DUE_MS;
  #stop: StopHandler = () => Promise.resolve(undefined);

  constructor(
    private readonly sessions: RedisSessions,
    private readonly leases: RedisLeases,
    private readonly nodes: RedisNodes,
  ) {
    super();
    nodes.onStop((sessionId, turnId, ending) => this.#stop(sessionId, turnId, ending));
  }

  async claim(sessionId: string): Promise<number | undefined> {
    const askedAt = performance.now();
    const reply = await this.sessions.link.onSession('claim', this.sessions.keysOf(sessionId), [
      sessionId,
      LEASE_MS,
      // Its owner may have been cut off as this node was, and not be back yet: then it is no time to take its place.
      this.nodes.steady ? 1 : 0,
    ]);
    if (reply[0] !== 'ok') return undefined;
    const fence = reply[1] as number;
    this.leases.add(sessionId, fence, askedAt);
    return fence;
  }

  async next(sessionId: string, fence: number): Promise<NextTurn> {
    const lease = this.leases.find(sessionId, fence);
    if (!lease) return { kind: 'deposed' };
    const next = await this.#next(lease);
    lease.begun = undefined;
    return next;
  }

  async #next(lease: RedisLease): Promise<NextTurn> {
    const { sessionId, fence } = lease;
    let asked: PlacedMessage[] = [];
    let requests: TurnRequest[] = [];
    const { result, committed } = await this.sessions.change<NextTurn>(
      sessionId,
      [],
      async (loaded): Promise<Decided<NextTurn>> => {
        if (!loaded || loaded.record.held !== fence) return { result: { kind: 'deposed' } };
        const { session } = loaded;
        const { running, agent } = session;
        if (running) {
          const events = await this.#eventsSince(sessionId, running.startSeq);
          lease.began(session, events, []);
          // Its begin was stored, and nobody was told of it: nobody else has this fence.
          if (running.turnId === lease.begun) return { result: { kind: 'turn', turn: running, agent } };
          return { result: { kind: 'abandoned', turn: running, agent, events } };
        }
        const change = beginTurn(session, this.sessions.clock.iso());
        if (change?.session.running) {
          asked = change.messages ?? [];
          lease.begun = change.session.running.turnId;
          requests = [change.session.running, ...change.session.waiting].map(({ request }) => request);
          // Counts as an append: Redis with data from before it has lost something.
          const commands: RedisCommand[] = [['HINCRBY', KEY.record, 'appends', 1]];
          return { result: { kind: 'turn', turn: change.session.running, agent }, change, commands };
        }
        // The lease goes in the step that finds nothing waiting, so that no later send can be missed.
        const idle = { session, entries: [] };
        return {
          result: { kind: 'idle' },
          change: idle,
          commands: [['HSET', KEY.record, 'held', 0, 'owner', '']],
        };
      },
      { fence },
    );
    if (committed && committed.kind !== 'done') {
      this.leases.forget(lease);
      return { kind: 'deposed' };
    }
    if (result.kind === 'idle' || result.kind === 'deposed') this.leases.forget(lease);
    if (result.kind === 'turn' && committed?.kind === 'done') {
      lease.appends += 1;
      const { packet } = committed;
      // Accepted events may have come between what was read and the begin, of which the script knows the place.
      const turn = { ...result.turn, startSeq: packet.to };
      const fields = requests.map((request): Field => ['requests', fieldOf(request)]);
      const loaded = await this.sessions.load(sessionId, fields);
      if (loaded.session && loaded.session.running?.turnId === turn.turnId) {
        const records = loaded.fields.flatMap((json) => readRequest(json, undefined) ?? []);
        lease.began(loaded.session, numbered(packet.events, packet.from), records);
        this.leases.remember(sessionId, asked);
        return { ...result, turn: loaded.session.running };
      }
      return { ...result, turn };
    }
    return result;
  }

  async release(sessionId: string, fence: number): Promise<void> {
    const lease = this.leases.find(sessionId, fence);
    await this.sessions.link.onSession('release', this.sessions.keysOf(sessionId), [sessionId, fence]);
    if (lease) this.leases.forget(lease);
  }

  /** Nothing while this node may itself have been cut off: then everybody looks dead to it, and nobody is. */
  async due(): Promise<string[]> {
    if (!this.nodes.steady) return [];
    const { keys, link } = this.sessions;
    const found = await Promise.all(
      keys.allPartitions().map(async (partition) => {
        const { due } = keys.partition(partition);
        const reply = await link.onPartition('due', partition, [due], [due.replace(/due$/, 'session:')]);
        return reply[1] as string[];
      }),
    );
    // Redis may have been found to be another run by asking it.
    return this.nodes.steady ? found.flat() : [];
  }

  async stop(sessionId: string, turnId: string, ending: Ending): Promise<Ending | undefined> {
    const here = await this.#stop(sessionId, turnId, ending);
    if (here) return here;
    const loaded = await this.sessions.load(sessionId);
    if (!loaded.session || loaded.session.running?.turnId !== turnId) return undefined;
    const { owner } = loaded.record;
    if (owner === '' || owner === this.sessions.link.node) return undefined;
    return this.nodes.askToStop(owner, sessionId, turnId, ending);
  }

  onStop(handler: StopHandler): void {
    this.#stop = handler;
  }

  onDeposed(handler: DeposedHandler): void {
    this.leases.onDeposed(handler);
  }

  confirm(sessionId: string, fence: number, signal?: AbortSignal): Promise<boolean> {
    return this.leases.confirm(sessionId, fence, signal);
  }

  async #eventsSince(sessionId: string, startSeq: number) {
    const { log } = this.sessions.keysOf(sessionId);
    const entries = await this.sessions.link.command((client) => client.xrange(log, `${startSeq}-0`, '+'));
    const events = readEvents(
      entries.map(([, fields]): [string, string] => [fields[1] ?? '0', fields[3] ?? '[]']),
    );
    return events.filter(({ seq }) => seq >= startSeq);
  }
}
