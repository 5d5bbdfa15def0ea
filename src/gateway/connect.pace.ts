import type { Socket } from 'node:net';
import { Injectable } from '@nestjs/common';

/**
 * How many go on in one turn of the event loop. Each costs well under a millisecond; what is streamed to others waits
 * for one turn's worth of them at most.
 */
const PER_TURN = 4;

interface Comer {
  isGone: () => boolean;
  go: (present: boolean) => void;
}

/**
 * Lets those who connect in one after the other, so many in each turn of the event loop: thousands who come at the
 * same moment, as after a restart, are all served, and whoever has an answer streamed meanwhile does not notice. A
 * loop that has little to do turns faster, so that nobody waits who comes alone.
 */
@Injectable()
export class ConnectPace {
  readonly #waiting: Comer[] = [];
  /** Each lets one in a turn, for as long as somebody waits. */
  #lanes = 0;

  /** Before an upgrade. Resolves when it is its turn; to false where its connection has ended meanwhile. */
  async upgrade(socket: Socket): Promise<boolean> {
    // Node hands the socket over: until somebody else listens, an error of it would end the process.
    socket.on('error', ignore);
    const present = await this.#wait(() => socket.destroyed);
    socket.off('error', ignore);
    return present;
  }

  /** Before it is looked at who comes, and for which sessions: what costs most of a connect. */
  async join(isGone: () => boolean): Promise<void> {
    await this.#wait(isGone);
  }

  #wait(isGone: () => boolean): Promise<boolean> {
    return new Promise((go) => {
      this.#waiting.push({ isGone, go });
      if (this.#lanes >= PER_TURN) return;
      this.#lanes += 1;
      setImmediate(this.#next);
    });
  }

  readonly #next = (): void => {
    for (let comer = this.#waiting.shift(); comer; comer = this.#waiting.shift()) {
      const present = !comer.isGone();
      comer.go(present);
      if (present) return void setImmediate(this.#next);
    }
    this.#lanes -= 1;
  };
}

function ignore(): void {
  // Its end is noticed when it is its turn.
}
