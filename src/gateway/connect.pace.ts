import type { Socket } from 'node:net';
import { Injectable } from '@nestjs/common';

/**
 * How many connections are begun to be read in one turn of the event loop, and how many clients take each further step.
 * A request costs some tenths of a millisecond, a step somewhat more; what is streamed to others waits for one turn's
 * worth of them at most.
 */
const READ_PER_TURN = 32;
const STEPS_PER_TURN = 4;

/**
 * Lets those who connect in one after the other, so many in each turn of the event loop: thousands who come at the
 * same moment, as after a restart, are all served, and whoever has an answer streamed meanwhile does not notice. A
 * loop that has little to do turns faster, so that nobody waits who comes alone.
 */
@Injectable()
export class ConnectPace {
  readonly #reads = new Line(READ_PER_TURN);
  readonly #steps = new Line(STEPS_PER_TURN);

  /** A connection that was accepted, whatever it wants: it is not read before it is its turn. */
  accepted(socket: Socket): void {
    socket.pause();
    void this.#reads.wait(() => socket.destroyed).then((present) => present && socket.resume());
  }

  /** Before an upgrade. Resolves when it is its turn; to false where its connection has ended meanwhile. */
  async upgrade(socket: Socket): Promise<boolean> {
    // Node hands the socket over: until somebody else listens, an error of it would end the process.
    socket.on('error', ignore);
    const present = await this.#steps.wait(() => socket.destroyed);
    socket.off('error', ignore);
    return present;
  }

  /** Before it is looked at who comes, and for which sessions: what costs most of a connect. */
  async join(isGone: () => boolean): Promise<void> {
    await this.#steps.wait(isGone);
  }
}

/** Lets so many go on in one turn of the event loop, by the order in which they came. */
class Line {
  readonly #waiting: { isGone: () => boolean; go: (present: boolean) => void }[] = [];
  /** Each lets one go on in a turn, for as long as somebody waits. */
  #lanes = 0;

  constructor(private readonly perTurn: number) {}

  /** Resolves when it is its turn; to false, with nobody's turn lost, where it has gone meanwhile. */
  wait(isGone: () => boolean): Promise<boolean> {
    return new Promise((go) => {
      this.#waiting.push({ isGone, go });
      if (this.#lanes >= this.perTurn) return;
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
