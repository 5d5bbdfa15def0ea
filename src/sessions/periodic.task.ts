/** Runs a task again and again, never twice at a time; a stop waits for the run that is under way. */
export class PeriodicTask {
  #timer?: NodeJS.Timeout;
  #running?: Promise<void>;

  /** @param task must not reject */
  constructor(private readonly task: () => Promise<void>) {}

  start(everyMs: number): void {
    this.#timer = setInterval(() => {
      this.#running ??= this.task().finally(() => (this.#running = undefined));
    }, everyMs);
    // It keeps no process alive that has nothing else to do.
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }
}
