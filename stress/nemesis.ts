import type { Gateway } from './gateway.ts';
import { now, type BlowRecord } from './ledgers.ts';
import type { Blow } from './plan.ts';

/** Does to the gateway's process what a plan says, one thing at a time, and undoes it in the end. */
export class Nemesis {
  readonly records: BlowRecord[] = [];
  /** What this machine cannot do, one line each. */
  readonly skipped = new Set<string>();
  kills = 0;
  stops = 0;
  others = 0;
  #last: Promise<void> = Promise.resolve();
  #pauses = new Set<() => void>();
  #healing = false;

  private readonly gateway: Gateway;

  constructor(gateway: Gateway) {
    this.gateway = gateway;
  }

  strike(blow: Blow): void {
    this.#last = this.#last
      // One that is late, since a start took long, is not struck after the end.
      .then(() => (this.#healing ? undefined : this.#strike(blow)))
      .catch((error: unknown) => void this.gateway.deaths.push(`after ${blow.do}: ${String(error)}`));
  }

  /** What has begun is finished at once, and the gateway is as it was. */
  async heal(): Promise<void> {
    this.#healing = true;
    for (const end of this.#pauses) end();
    await this.#last;
    this.#healing = false;
    this.gateway.limitDisk(false);
    await this.gateway.moveClock(0);
  }

  async #strike(blow: Blow): Promise<void> {
    const at = now();
    let detail = '';
    switch (blow.do) {
      case 'kill':
        this.kills += 1;
        detail = String(await this.gateway.end('SIGKILL'));
        await this.#pause(blow.downMs);
        await this.gateway.start(blow.shiftMs);
        break;
      case 'stop': {
        this.stops += 1;
        const code = await this.gateway.end('SIGTERM');
        detail = String(code);
        if (code !== 0) this.gateway.deaths.push(`SIGTERM ended it with ${code} instead of 0:\n${this.gateway.output.slice(-2_000)}`); // prettier-ignore
        await this.#pause(blow.downMs);
        await this.gateway.start();
        break;
      }
      case 'fill-disk':
        if (!this.gateway.limitDisk(true)) {
          this.skipped.add('fill-disk: prlimit is missing');
          return;
        }
        this.others += 1;
        await this.#pause(blow.forMs);
        this.gateway.limitDisk(false);
        break;
      case 'move-clock':
        this.others += 1;
        detail = `${blow.shiftMs} ms`;
        await this.gateway.moveClock(blow.shiftMs);
        break;
    }
    this.records.push({ at, until: now(), kind: blow.do, detail });
  }

  #pause(ms: number): Promise<void> {
    if (this.#healing) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#pauses.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#pauses.add(end);
    });
  }
}
