import type { Usage } from '../protocol.js';
import type { Ending, RunningTurn } from '../sessions/session.js';

/** The reason of a turn's abort signal: its end is decided, and what still runs for it has to stop. */
export class TurnEnded extends Error {
  constructor() {
    super('the turn has ended');
    this.name = 'TurnEnded';
  }
}

/** One for all: every turn ends, and a stack trace would say nothing. */
const TURN_ENDED = new TurnEnded();

/** A turn that runs in this process. How it ends is decided once: whoever comes first, decides. */
export class ActiveTurn {
  readonly #abort = new AbortController();
  #ending?: Ending;
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  /** What its steps that ended have used. */
  usage: () => Usage | undefined = () => undefined;
  /** Another owner took the session: nothing more is written for it here. */
  deposed = false;

  constructor(
    readonly sessionId: string,
    readonly turn: RunningTurn,
    /** Under which it runs. */
    readonly fence: number,
  ) {}

  /** Aborted as soon as the end is decided: the model's request and the tools hang on it. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** @returns how the turn ends: as given, unless that was decided before */
  decide(ending: Ending): Ending {
    this.#ending ??= ending;
    this.#abort.abort(TURN_ENDED);
    return this.#ending;
  }

  depose(): void {
    this.deposed = true;
    this.#abort.abort(TURN_ENDED);
  }
}
