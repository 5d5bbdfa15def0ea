import type { SendResult, WhenBusy } from '../../src/protocol.js';
import { MooringError } from './errors.js';
import type { Kept } from './storage.js';

/** A request that starts a turn, and that the gateway knows by its id however often it comes. */
export type OutgoingRequest =
  | { kind: 'message'; id: string; text: string; whenBusy?: WhenBusy }
  | { kind: 'retry'; id: string; messageId?: string; text?: string };

/**
 * `sending` until the gateway has stored it, `accepted` until the conversation shows it, `failed` if the gateway
 * refused it: then it stays until it is sent again or discarded.
 */
export type Outgoing = OutgoingRequest & {
  readonly state: 'sending' | 'accepted' | 'failed';
  readonly error?: MooringError;
};

interface Waiting {
  resolve: (result: SendResult) => void;
  reject: (error: unknown) => void;
}

export interface OutboxOptions {
  kept: Kept<OutgoingRequest[]>;
  /** Sends one, again and again until there is an answer. Rejects with {@link MooringError}. */
  send(request: OutgoingRequest): Promise<SendResult>;
  isShown(messageId: string): boolean;
  onChange(): void;
}

/**
 * What is on its way, in order and one at a time: one that has to be sent again is not overtaken. Kept in the
 * storage until the gateway has it.
 */
export class Outbox {
  #items: readonly Outgoing[] = [];
  readonly #waiting = new Map<string, Waiting>();
  /** What was kept goes first. */
  #isRestored = false;
  #isRunning = false;
  #stopped?: MooringError;

  constructor(private readonly options: OutboxOptions) {}

  get items(): readonly Outgoing[] {
    return this.#items;
  }

  /** Takes up what the last page did not get rid of. */
  async restore(): Promise<void> {
    const kept = (await this.options.kept.read()) ?? [];
    const known = new Set(this.#items.map(({ id }) => id));
    const restored = kept
      .filter(({ id }) => !known.has(id))
      .map((each) => ({ ...each, state: 'sending' }) as const);
    this.#set([...restored, ...this.#items]);
    this.#isRestored = true;
    void this.#run();
  }

  /** Resolves when the gateway has stored it; rejects with what it said against it. */
  add(request: OutgoingRequest): Promise<SendResult> {
    if (this.#stopped) return Promise.reject(this.#stopped);
    void this.options.kept.change((items = []) => [...items, request]);
    this.#set([...this.#items, { ...request, state: 'sending' }]);
    const result = this.#result(request.id);
    void this.#run();
    return result;
  }

  /** Sends one that failed once more. */
  again(id: string): Promise<SendResult> {
    const item = this.#items.find((each) => each.id === id && each.state === 'failed');
    if (!item) return Promise.reject(notFailed(id));
    this.discard(id);
    const { state: _state, error: _error, ...request } = item;
    return this.add(request);
  }

  /** Forgets one that failed. */
  discard(id: string): void {
    this.#set(this.#items.filter((each) => each.id !== id || each.state !== 'failed'));
  }

  /** Forgets what was accepted and is shown; after a snapshot, which holds the newest only, all of it. */
  settle({ all = false } = {}): void {
    const isDone = ({ kind, id, state }: Outgoing): boolean =>
      state === 'accepted' && (all || kind === 'retry' || this.options.isShown(id));
    if (this.#items.some(isDone)) this.#set(this.#items.filter((item) => !isDone(item)));
  }

  /** Sends nothing more; what is kept stays for the next visit. */
  stop(error: MooringError): void {
    this.#stopped = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #result(id: string): Promise<SendResult> {
    const result = new Promise<SendResult>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    // The state tells it too: whoever does not wait for the promise must not be ended by its rejection.
    result.catch(() => undefined);
    return result;
  }

  async #run(): Promise<void> {
    if (!this.#isRestored || this.#isRunning) return;
    this.#isRunning = true;
    for (let next = this.#next(); next && !this.#stopped; next = this.#next()) await this.#send(next);
    this.#isRunning = false;
  }

  #next(): Outgoing | undefined {
    return this.#items.find(({ state }) => state === 'sending');
  }

  async #send(item: Outgoing): Promise<void> {
    const { id } = item;
    const waiting = this.#waiting.get(id);
    let result: SendResult;
    try {
      result = await this.options.send(item);
    } catch (thrown) {
      if (this.#stopped) return;
      const error = thrown as MooringError;
      this.#answered(id, { state: 'failed', error });
      waiting?.reject(error);
      return;
    }
    this.#answered(id, { state: 'accepted' });
    this.settle();
    waiting?.resolve(result);
  }

  /** Neither kept nor waited for any more; listeners are told last, since they may send the same anew. */
  #answered(id: string, values: Pick<Outgoing, 'state' | 'error'>): void {
    this.#waiting.delete(id);
    void this.options.kept.change((items = []) => {
      const rest = items.filter((each) => each.id !== id);
      return rest.length > 0 ? rest : undefined;
    });
    this.#set(this.#items.map((item) => (item.id === id ? { ...item, ...values } : item)));
  }

  #set(items: readonly Outgoing[]): void {
    this.#items = items;
    this.options.onChange();
  }
}

export function isOutgoing(value: unknown): value is OutgoingRequest[] {
  if (!Array.isArray(value)) return false;
  return value.every(
    (item: unknown) =>
      typeof item === 'object' &&
      item !== null &&
      'id' in item &&
      typeof item.id === 'string' &&
      'kind' in item &&
      (item.kind === 'retry' || (item.kind === 'message' && 'text' in item && typeof item.text === 'string')),
  );
}

function notFailed(id: string): MooringError {
  const message = `No message ${id} has failed.`;
  return new MooringError({ code: 'invalid_payload', message, retryable: false });
}
