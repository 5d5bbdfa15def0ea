import type { Gateway, ProbeAnswer } from './gateway.ts';
import type { ModelServer } from './model.server.ts';

/** Handles that come and go by themselves: a sweep that just runs, a connection that is being closed. */
const HANDLES_TOLERATED = 3;
const HEAP_TOLERATED_BYTES = 3 * 1024 * 1024;

/** What the gateways held before anybody came, and have to be back at once everybody has gone. */
export class Baseline {
  private readonly gateways: readonly Gateway[];
  private readonly before: readonly ProbeAnswer[];
  readonly #heaps: number[] = [];

  private constructor(gateways: readonly Gateway[], before: readonly ProbeAnswer[]) {
    this.gateways = gateways;
    this.before = before;
  }

  static async of(gateways: readonly Gateway[]): Promise<Baseline> {
    return new Baseline(gateways, await memories(gateways));
  }

  /** @param patient whether those that vanished were waited for, so that sockets and handles count too */
  async leftovers(model: ModelServer, patient: boolean): Promise<string[]> {
    const left: string[] = [];
    const names = patient ? ['mooring_sockets', 'mooring_turns_running'] : ['mooring_turns_running'];
    for (const name of names) {
      const value = sumOf(await Promise.all(this.gateways.map((gateway) => gateway.metric(name))));
      if (value > 0) left.push(`${name} is ${value}, and nobody is there`);
    }
    if (model.openCalls > 0) left.push(`${model.openCalls} requests to the model are still open`);
    for (const [node, gateway] of this.gateways.entries()) {
      const ready = await gateway.health();
      if (ready !== 200) left.push(`/health/ready of node ${node} says ${ready}`);
      if (patient) left.push(...(await this.#handles(node, gateway)));
    }
    return left;
  }

  /** Called after each phase, when nobody is there. */
  async noteHeap(): Promise<void> {
    const heaps = (await memories(this.gateways)).map(({ heapBytes }) => heapBytes);
    this.#heaps.push(sumOf(heaps) / heaps.length);
  }

  /** Whether the last phase left more than the first one did. */
  growth(): string[] {
    const [first = 0, last = first] = [this.#heaps[0], this.#heaps.at(-1)];
    if (last - first <= HEAP_TOLERATED_BYTES) return [];
    const mebibytes = this.#heaps.map((bytes) => (bytes / 1024 / 1024).toFixed(1)).join(', ');
    return [`the heap grew with each phase, in MiB: ${mebibytes}`];
  }

  async #handles(node: number, gateway: Gateway): Promise<string[]> {
    const { resources } = await gateway.resources();
    const grown = Object.entries(resources).filter(
      ([type, count]) => count > (this.before[node]?.resources[type] ?? 0) + HANDLES_TOLERATED,
    );
    return grown.map(
      ([type, count]) =>
        `${count} handles of type ${type} in node ${node}, ${this.before[node]?.resources[type] ?? 0} before the load`,
    );
  }
}

function memories(gateways: readonly Gateway[]): Promise<ProbeAnswer[]> {
  return Promise.all(gateways.map((gateway) => gateway.memory()));
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
