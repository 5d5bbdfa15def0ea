import { Semaphore } from './semaphore.js';

type Leave = () => void;

/** Where turns run: so many at once on this node, and so many of one subject's. */
export class TurnPlaces {
  readonly #ofNode: Semaphore;
  /** By subject; those that have no turn here are not among them. */
  readonly #ofSubject = new Map<string, { places: Semaphore; users: number }>();

  /** @param perSubject of turns at once */
  constructor(
    atOnce: number,
    private readonly perSubject: number,
  ) {
    this.#ofNode = new Semaphore(atOnce);
  }

  /** Who has a turn here, or waits for one. */
  get subjects(): number {
    return this.#ofSubject.size;
  }

  get waiting(): number {
    let waiting = this.#ofNode.waiting;
    for (const { places } of this.#ofSubject.values()) waiting += places.waiting;
    return waiting;
  }

  /**
   * Waits for a place. The subject's comes first: whoever waits for that takes none of the others'.
   * @param subject undefined: nobody's, or somebody's who is not known by name
   * @returns gives the place back
   */
  async acquire(subject: string | undefined): Promise<Leave> {
    if (subject === undefined) return this.#ofNode.acquire();
    const leaveOwn = await this.#acquireOf(subject);
    const leave = await this.#ofNode.acquire();
    return () => {
      leave();
      leaveOwn();
    };
  }

  async #acquireOf(subject: string): Promise<Leave> {
    const own = this.#ofSubject.get(subject) ?? { places: new Semaphore(this.perSubject), users: 0 };
    this.#ofSubject.set(subject, own);
    own.users += 1;
    const leave = await own.places.acquire();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      leave();
      own.users -= 1;
      if (own.users === 0) this.#ofSubject.delete(subject);
    };
  }
}
