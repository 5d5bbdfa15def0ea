/**
 * What is asked of the upstream, and what it answers. The prompt says all of it, so that every contender hands
 * it on as it is; the answer is the same each time, so that whoever receives it can tell whether all came.
 */

/** One answer. */
export interface Ask {
  tokens: number;
  /** Tokens per second; 0: as fast as the connection takes them. */
  rate: number;
  /** Each token says when it was sent, by {@link nowMicros}. */
  stamped?: boolean;
  /** Characters of each token, where they are to be more than its name and a blank; not with `stamped`. */
  length?: number;
}

export function promptOf({ tokens, rate, stamped = false, length = 0 }: Ask): string {
  return `tokens=${tokens} rate=${rate} stamped=${stamped ? 1 : 0} length=${length}`;
}

export function askOf(prompt: string): Ask {
  const [, tokens = 1, rate = 0, stamped = 0, length = 0] =
    /tokens=(\d+) rate=([\d.]+) stamped=(\d) length=(\d+)/.exec(prompt)?.map(Number) ?? [];
  return { tokens, rate, stamped: stamped === 1, length };
}

/** The token of an index from 0 on. */
export function tokenText(index: number, length = 0): string {
  return `${`w${index}`.padEnd(length - 1, '~')} `;
}

/** In base 36, so that a stamped token is about as long as a token. */
export function stampedText(index: number, micros: number): string {
  return `w${index}:${micros.toString(36)} `;
}

/** What six digits of base 36 hold, 36 minutes. */
const MICROS = 36 ** 6;

/** Of a clock that all processes of this machine share and that begins anew after {@link MICROS}. */
export function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n) % MICROS;
}

const wholes = new Map<number, string>();

/** All that an answer without stamps holds. */
export function wholeText(tokens: number): string {
  const known = wholes.get(tokens);
  if (known !== undefined) return known;
  const whole = Array.from({ length: tokens }, (_, index) => tokenText(index)).join('');
  wholes.set(tokens, whole);
  return whole;
}

/** Takes an answer piece by piece and tells what is wrong with it. */
export class Receipt {
  readonly ask: Ask;
  /** How many tokens have come, in order. */
  received = 0;
  /** Something came twice, out of order, or altered. */
  broken = false;
  #rest = '';
  readonly #delay: (micros: number, index: number) => void;

  /** @param delay told of each stamped token: µs from its sending, and its index */
  constructor(ask: Ask, delay: (micros: number, index: number) => void = () => undefined) {
    this.ask = ask;
    this.#delay = delay;
  }

  take(text: string): void {
    const words = (this.#rest + text).split(' ');
    this.#rest = words.pop() ?? '';
    const now = this.ask.stamped ? nowMicros() : 0;
    for (const word of words) {
      const index = this.received;
      this.received += 1;
      if (!this.ask.stamped) {
        if (`${word} ` !== tokenText(index, this.ask.length)) this.broken = true;
        continue;
      }
      const [name, sent = ''] = word.split(':');
      if (name !== `w${index}`) this.broken = true;
      this.#delay((now - Number.parseInt(sent, 36) + MICROS) % MICROS, index);
    }
  }

  get whole(): boolean {
    return !this.broken && this.received === this.ask.tokens && this.#rest === '';
  }
}
