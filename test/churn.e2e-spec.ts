import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PLACEHOLDER_TEXT, type UIMessage, type WhenBusy } from '../src/protocol.js';
import { until } from './support/channel.js';
import { newCredentials, type TestClient } from './support/client.js';
import { cutOne } from './support/cut.js';
import { disposeAll, gateway, onDispose, type TestGateway } from './support/gateway.js';
import { Guest, type Credentials } from './support/guest.js';
import type { ModelCall } from '../src/testing/scripted.model.js';

const SESSIONS = 3;
const GUESTS = 8;
const STEPS = 300;
const RUNS = 4;

type Act = 'cancel' | 'retry' | 'vanish' | 'cut' | 'leave' | 'return' | 'reload' | 'settle';
type Step =
  | { do: 'send'; guest: number; whenBusy: WhenBusy; repeat: boolean }
  | { do: Act; guest: number }
  | { do: 'switch'; guest: number; agent: string }
  | { do: 'say'; call: number; text: string }
  | { do: 'finish' | 'fail'; call: number };

const guest = fc.nat(GUESTS - 1);
const call = fc.nat(SESSIONS - 1);

/** What frontends, networks and models do, each about as often as its weight says. */
function steps(): fc.Arbitrary<Step[]> {
  const plain = (weight: number, name: Act) => ({
    weight,
    arbitrary: fc.record({ do: fc.constant(name), guest }),
  });
  const ending = (weight: number, name: 'finish' | 'fail') => ({
    weight,
    arbitrary: fc.record({ do: fc.constant(name), call }),
  });
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        do: fc.constant('send' as const),
        guest,
        whenBusy: fc.constantFrom<WhenBusy[]>('enqueue', 'enqueue', 'enqueue', 'reject', 'interrupt'),
        repeat: fc.boolean(),
      }),
    },
    {
      weight: 30,
      arbitrary: fc.record({
        do: fc.constant('say' as const),
        call,
        text: fc.string({ minLength: 1, maxLength: 5 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('switch' as const),
        guest,
        agent: fc.constantFrom('alice', 'debbie', 'patricia'),
      }),
    },
    ending(9, 'finish'),
    ending(1, 'fail'),
    plain(3, 'cancel'),
    plain(3, 'retry'),
    plain(5, 'vanish'),
    plain(5, 'cut'),
    plain(3, 'leave'),
    plain(5, 'return'),
    plain(3, 'reload'),
    plain(15, 'settle'),
  );
  return fc.array(step, { minLength: STEPS, maxLength: STEPS });
}

/** Three sessions with eight guests, and a model that says what the steps say. */
class House {
  readonly guests: Guest[];
  /** What each call of the model said; those that have ended say no more. */
  readonly said = new Map<ModelCall, { text: string; ended: boolean }>();
  #texts = 0;

  constructor(
    private readonly running: TestGateway,
    private readonly sessions: Credentials[],
  ) {
    this.guests = Array.from({ length: GUESTS }, (_, index) => {
      const transports =
        index === 0 ? ['polling' as const] : index === 1 ? undefined : ['websocket' as const];
      const credentials = this.sessions[index % SESSIONS] as Credentials;
      return new Guest(running.url, credentials, transports ?? ['polling', 'websocket']);
    });
    running.model.autoAnswer = (made) => {
      this.said.set(made.begin(), { text: '', ended: false });
    };
  }

  async perform(step: Step): Promise<void> {
    if ('call' in step) return this.#speak(step);
    const guest = this.guests[step.guest] as Guest;
    const { sessionId } = guest.credentials;
    switch (step.do) {
      case 'send':
        return this.#send(guest, step.whenBusy, step.repeat);
      case 'cancel':
        return guest.ask('turn:cancel', { sessionId });
      case 'retry':
        return guest.ask('turn:retry', { sessionId, retryId: `retry ${(this.#texts += 1)}` });
      case 'switch':
        return guest.ask('agent:switch', { sessionId, agent: step.agent });
      case 'cut':
        return cutOne(this.running, guest.engineId);
      case 'settle':
        return guest.settled();
      default:
        return guest[step.do]();
    }
  }

  /** Says what is still to be said, brings all guests back, and waits until nothing happens any more. */
  async settle(): Promise<void> {
    this.running.model.autoAnswer = (made) => {
      this.said.set(made, { text: 'the rest', ended: true });
      made.answer('the rest');
    };
    for (const guest of this.guests) guest.return();
    for (const [made, { ended }] of this.said) if (!ended) this.#end(made);
    await until(async () => this.#quiet && (await this.#upToDate()), 'the sessions to be quiet').catch(
      (error: unknown) => {
        throw new Error(`${String(error)}: ${this.guests.join(', ')}`);
      },
    );
  }

  get #quiet(): boolean {
    return this.guests.every((each) => each.bound && !each.waits && each.view.turns.length === 0);
  }

  async #upToDate(): Promise<boolean> {
    for (const session of this.sessions) {
      const reader = await this.running.client();
      const { position, turns } = await reader.open(session);
      await reader.close();
      const same = this.#of(session).every((each) => each.position?.seq === position.seq);
      if (!same || turns.length > 0) return false;
    }
    return true;
  }

  /** Every guest shows what is stored, and what is stored is what the model said. */
  async check(): Promise<void> {
    expect(this.guests.flatMap(({ complaints }) => complaints)).toEqual([]);
    for (const session of this.sessions) {
      const reader = await this.running.client();
      const { agent } = await reader.open(session);
      const messages = await stored(reader, session.sessionId);
      for (const guest of this.#of(session)) {
        const { view, hasMore, ends } = guest;
        expect(view.messages).toEqual(hasMore ? messages.slice(-view.messages.length) : messages);
        expect(view).toMatchObject({ agent: agent.id, turns: [] });
        for (const { metadata } of messages) {
          const end = ends.get(metadata?.turnId ?? '');
          if (end) expect(metadata?.status).toBe(end);
        }
      }
      this.#checkAnswers(messages);
      await this.#checkRepeats(session);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.guests.map((each) => each.close()));
  }

  #of({ sessionId }: Credentials): Guest[] {
    return this.guests.filter(({ credentials }) => credentials.sessionId === sessionId);
  }

  /** Something new, or the very message that this guest last had accepted. */
  #send(guest: Guest, whenBusy: WhenBusy, repeat: boolean): void {
    const last = repeat ? guest.accepted.at(-1) : undefined;
    if (last) guest.send(last.text, { messageId: last.messageId, whenBusy });
    else guest.send(`text ${(this.#texts += 1)}`, { whenBusy });
  }

  #speak(step: Extract<Step, { call: number }>): void {
    const open = [...this.said].filter(([made, { ended }]) => !ended && !made.aborted);
    const [made, said] = open[step.call % Math.max(1, open.length)] ?? [];
    if (!made || !said) return;
    if (step.do === 'finish') return this.#end(made);
    // A failure before the first word would be tried again, after half a second.
    const text = step.do === 'say' ? step.text : 'x';
    made.text(text);
    said.text += text;
    if (step.do === 'say') return;
    said.ended = true;
    made.fail(new Error('the model of a test fails'));
  }

  #end(made: ModelCall): void {
    const said = this.said.get(made);
    if (said) said.ended = true;
    made.finish();
  }

  #checkAnswers(messages: UIMessage[]): void {
    messages.forEach((message, index) => {
      const { role, metadata } = message;
      if (role === 'user') return;
      const asked = textIn(messages[index - 1]);
      expect(messages[index - 1]?.role).toBe('user');
      const said = [...this.said].filter(([made]) => made.asked === asked).map(([, { text }]) => text);
      const text = textIn(message);
      if (text === PLACEHOLDER_TEXT) return;
      if (metadata?.status === 'completed') expect(said).toContain(text);
      else expect(said.filter((each) => each.startsWith(text))).not.toEqual([]);
    });
    const ids = messages.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  }

  /** Whatever was accepted is known for good, and runs no second time. */
  async #checkRepeats(session: Credentials): Promise<void> {
    const calls = this.running.model.calls.length;
    const { sessionId } = session;
    for (const each of this.#of(session)) {
      const again = await this.running.client();
      await again.open(session);
      const known = new Map(each.accepted.map((message) => [message.messageId, message]));
      for (const { messageId, text, turnId } of [...known.values()].slice(-20)) {
        const answer = await again.do('message:send', { sessionId, messageId, text });
        expect(answer).toMatchObject({ turnId, duplicate: true });
        expect(['queued', 'running']).not.toContain(answer.state);
      }
      await again.close();
    }
    expect(this.running.model.calls).toHaveLength(calls);
  }
}

function textIn(message: UIMessage | undefined): string {
  return (message?.parts ?? []).map((part) => (part.type === 'text' ? part.text : '')).join('');
}

async function stored(reader: TestClient, sessionId: string): Promise<UIMessage[]> {
  const all: UIMessage[] = [];
  for (;;) {
    const page = await reader.do('session:history', { sessionId, before: all[0]?.id, limit: 100 });
    all.unshift(...page.messages);
    if (!page.hasMore) return all;
  }
}

describe.each(['memory', 'sqlite'])('eight clients on three sessions, %s store', (STORE) => {
  afterEach(disposeAll);

  it('[RES-2] [EVT-1] [EVT-3] [EVT-5] [MSG-2] [TURN-1] [WEB-1] whatever is done to them, each shows what is stored', async () => {
    await fc.assert(
      fc.asyncProperty(steps(), async (list) => {
        const running = await gateway({ STORE });
        const house = new House(
          running,
          Array.from({ length: SESSIONS }, () => newCredentials()),
        );
        onDispose(() => house.close());
        try {
          for (const step of list) {
            await house.perform(step);
            await new Promise(setImmediate);
          }
          await house.settle();
          await house.check();
        } finally {
          await disposeAll();
        }
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  }, 120_000);
});
