import { afterEach, describe, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import {
  MemoryStorage,
  MooringClient,
  MooringError,
  newCredentials,
  type ClientOptions,
  type MooringSession,
  type SessionEvent,
  type SessionOptions,
} from '../client/src/index.js';
import { SessionBindings } from '../src/sessions/session.bindings.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { until } from './support/channel.js';
import { cutAll } from './support/cut.js';
import { gatewayProcess } from './support/gateway.process.js';
import { disposeAll, gateway, onDispose, temporaryDirectory } from './support/gateway.js';
import { startOpenAiServer } from './support/openai.server.js';

const STORE = 'sqlite';
const SECRET = 'a-secret-of-thirty-two-characters!';
const QUICK: ClientOptions = { socket: { reconnectionDelay: 10, forceNew: true } };

function connect(url: string, options: ClientOptions = {}): MooringClient {
  const client = new MooringClient(url, { ...QUICK, ...options });
  onDispose(async () => client.close());
  return client;
}

function textsOf({ state }: MooringSession): string[] {
  return state.messages.map(({ parts }) => parts.map((part) => ('text' in part ? part.text : '')).join(''));
}

/** What the session tells, as a frontend sees it. */
function listen(session: MooringSession): { seqs: number[]; connections: string[]; events: SessionEvent[] } {
  const heard = { seqs: [] as number[], connections: [] as string[], events: [] as SessionEvent[] };
  const hear = (events: readonly SessionEvent[]): void => {
    heard.events.push(...events);
    heard.seqs.push(...events.map(({ seq }) => seq));
  };
  session.on('opened', ({ events }) => hear(events));
  session.on('events', hear);
  session.subscribe(() => {
    if (heard.connections.at(-1) !== session.state.connection)
      heard.connections.push(session.state.connection);
  });
  return heard;
}

async function openSession(client: MooringClient, options?: SessionOptions): Promise<MooringSession> {
  const session = client.session(options);
  await session.opened();
  return session;
}

describe('the client package', () => {
  afterEach(disposeAll);

  it('[CLI-1] sends, streams, cancels and answers anew; what it shows is what is stored', async () => {
    const { url, model } = await gateway({ STORE });
    const session = await openSession(connect(url), { agent: 'alice', metadata: { from: 'a test' } });
    const { turnId, duplicate } = await session.send('one');
    expect(duplicate).toBe(false);
    const first = (await model.nextCall()).begin().text('par', 'tial');
    await until(() => textsOf(session).at(-1) === 'partial', 'the answer');
    expect(session.state.turns).toMatchObject([{ turnId, state: 'running' }]);
    await session.send('two');
    expect(session.state.turns.map(({ state }) => state)).toEqual(['running', 'queued']);
    expect(await session.cancel()).toEqual({ turnId, cancelled: true });
    expect(first.aborted).toBe(true);
    (await model.nextCall()).answer('answer two');
    await until(() => session.state.turns.length === 0, 'both turns to end');
    expect(session.state.ends[turnId]).toMatchObject({ state: 'cancelled' });
    expect(textsOf(session)).toEqual(['one', 'partial', 'two', 'answer two']);
    await session.retry({ text: 'two, but otherwise' });
    (await model.nextCall()).answer('another');
    await until(() => textsOf(session).at(-1) === 'another', 'the new answer');
    await until(() => session.state.turns.length === 0, 'its end');
    expect(textsOf(session)).toEqual(['one', 'partial', 'two, but otherwise', 'another']);
    expect((await session.history()).messages).toEqual(session.state.messages);
    expect(session.state.outbox).toEqual([]);
  });

  it('[CLI-1] pages older messages in, switches agents and lists them', async () => {
    const { url, model } = await gateway({ STORE });
    model.autoAnswer = (call) => call.answer(`re: ${call.asked}`);
    const storage = new MemoryStorage();
    const client = connect(url, { storage });
    const writer = await openSession(client, { name: 'long' });
    for (let index = 0; index < 30; index += 1) {
      await writer.send(`m${index}`);
      await until(() => writer.state.turns.length === 0, 'an answer');
    }
    const agents = (await client.agents()).map(({ id }) => id);
    expect(agents).toContain('alice');
    const other = agents.find((id) => id !== writer.state.agent) as string;
    await writer.switchAgent(other);
    await until(() => writer.state.agent === other, 'the switch');
    const { messages } = await writer.history(undefined, 100);
    expect(messages).toHaveLength(60);

    const reader = await openSession(connect(url, { storage }), { name: 'long' });
    expect(reader.state).toMatchObject({ hasMore: true, agent: other });
    expect(await reader.loadOlder(8)).toBe(true);
    expect(await reader.loadOlder(100)).toBe(false);
    expect(reader.state.messages).toEqual(messages);
  });

  it('[CLI-2] ten cuts in one answer: each event once and in order, no state but reconnecting', async () => {
    const running = await gateway({ STORE });
    const session = await openSession(connect(running.url));
    const heard = listen(session);
    await session.send('a long one');
    const call = (await running.model.nextCall()).begin();
    let text = '';
    for (let cut = 0; cut < 10; cut += 1) {
      call.text(`seen${cut} `);
      text += `seen${cut} `;
      await until(() => textsOf(session).at(-1) === text, 'the text before a cut');
      expect(await cutAll(running)).toBe(1);
      call.text(`missed${cut} `);
      text += `missed${cut} `;
      await until(() => textsOf(session).at(-1) === text, 'what the cut withheld');
    }
    call.finish();
    await until(() => session.state.turns.length === 0, 'the end');
    expect(textsOf(session)).toEqual(['a long one', text]);
    expect((await session.history()).messages).toEqual(session.state.messages);
    expect(heard.seqs).toEqual([...new Set(heard.seqs)].sort((a, b) => a - b));
    expect(new Set(heard.connections)).toEqual(new Set(['reconnecting', 'connected']));
    expect(heard.events.filter(({ type }) => type === 'message')).toHaveLength(1);
  });

  it('[CLI-3] cut right after each message is sent: all run, once, in their order', async () => {
    const { url, model } = await gateway({ STORE });
    model.autoAnswer = (call) => call.answer(`re: ${call.asked}`);
    const client = connect(url);
    const session = await openSession(client);
    const sent: Promise<{ turnId: string }>[] = [];
    const asked = Array.from({ length: 12 }, (_, index) => `m${index}`);
    for (const [index, text] of asked.entries()) {
      sent.push(session.send(text));
      // Before it left, while it is on its way, and while its acknowledgement is.
      for (let wait = index % 3; wait > 0; wait -= 1) await new Promise((resolve) => setImmediate(resolve));
      client.dropConnection();
      if (index % 6 === 5) await Promise.all(sent);
    }
    const turns = await Promise.all(sent);
    await until(() => session.state.turns.length === 0 && session.state.outbox.length === 0, 'all answers');
    expect(new Set(turns.map(({ turnId }) => turnId)).size).toBe(asked.length);
    expect(model.calls.map((call) => call.asked)).toEqual(asked);
    expect(textsOf(session)).toEqual(asked.flatMap((text) => [text, `re: ${text}`]));
  });

  it('[CLI-4] a reload amid an answer has all of it, and sends what the page before it could not', async () => {
    const running = await gateway({ STORE });
    const { url, model } = running;
    const storage = new MemoryStorage();
    const before = connect(url, { storage });
    const page = await openSession(before);
    await page.send('one');
    const call = (await model.nextCall()).begin().text('half');
    await until(() => textsOf(page).at(-1) === 'half', 'the half');
    before.dropConnection();
    const unsent = page.send('two');
    before.close();
    await expect(unsent).rejects.toMatchObject({ code: 'closed' });

    const session = await openSession(connect(url, { storage }));
    expect(session.state.sessionId).toBe(page.state.sessionId);
    await until(() => textsOf(session).includes('half'), 'the half again');
    call.text(' and half').finish();
    (await model.nextCall()).answer('answer two');
    await until(() => textsOf(session).at(-1) === 'answer two', 'the message of the page before');
    expect(textsOf(session)).toEqual(['one', 'half and half', 'two', 'answer two']);
    await until(() => storage.getItem(`mooring.outbox.${session.state.sessionId}`) === null, 'the outbox');
  });

  it('[CLI-4] a storage that is forbidden, full or tampered with costs the reload, not the page', async () => {
    const { url, model } = await gateway({ STORE });
    model.autoAnswer = (call) => call.answer('ok');
    const forbidden = {
      getItem: () => Promise.reject(new Error('no')),
      setItem: () => {
        throw new Error('full');
      },
      removeItem: () => {
        throw new Error('no');
      },
    };
    const tampered = new MemoryStorage();
    tampered.setItem('mooring.session.default', '{"sessionId":5');
    const alien = new MemoryStorage();
    // What the gateway would refuse for ever, at each reload anew.
    const credentials = { sessionId: 'not an id of the contract', key: 'k'.repeat(200) };
    alien.setItem('mooring.session.default', JSON.stringify(credentials));
    for (const storage of [forbidden, tampered, alien]) {
      const session = await openSession(connect(url, { storage }));
      await session.send('hello');
      await until(() => textsOf(session).at(-1) === 'ok', 'an answer');
    }
  });

  it('[CLI-5] two tabs stay in step, also through the cuts of one of them', async () => {
    const { url, model } = await gateway({ STORE });
    const storage = new MemoryStorage();
    const one = connect(url, { storage });
    const [first, second] = [await openSession(one), await openSession(connect(url, { storage }))];
    expect(second.state.sessionId).toBe(first.state.sessionId);
    await second.send('from the second');
    const call = (await model.nextCall()).begin().text('a');
    await until(() => textsOf(first).at(-1) === 'a', 'the first tab to see it');
    one.dropConnection();
    call.text('b').finish();
    await until(() => first.state.turns.length === 0 && second.state.turns.length === 0, 'the end');
    await until(() => first.state.messages.length === 2, 'the first tab');
    expect(first.state.messages).toEqual(second.state.messages);
  });

  it('[CLI-6] what the gateway refuses rejects and stays as failed, until it is sent again or discarded', async () => {
    const { url, model } = await gateway({ STORE });
    const session = await openSession(connect(url));
    await session.send('one');
    const call = (await model.nextCall()).begin();
    await expect(session.send('two', { whenBusy: 'reject' })).rejects.toThrow(MooringError);
    await expect(session.send('x'.repeat(40_000))).rejects.toMatchObject({ code: 'payload_too_large' });
    const [busy, large] = session.state.outbox;
    expect(busy).toMatchObject({
      text: 'two',
      state: 'failed',
      error: { code: 'session_busy', retryable: true },
    });
    session.discard(large?.id as string);
    call.finish();
    await until(() => session.state.turns.length === 0, 'the turn to end');
    const again = session.resend(busy?.id as string);
    (await model.nextCall()).answer('two');
    await again;
    await until(() => session.state.outbox.length === 0, 'the outbox');
    await expect(session.resend('unknown')).rejects.toMatchObject({ code: 'invalid_payload' });
  });

  it('[CLI-7] leaving cancels nothing; closing ends it for everyone, and the next of its name is new', async () => {
    const { url, model } = await gateway({ STORE });
    const storage = new MemoryStorage();
    const client = connect(url, { storage });
    const session = await openSession(client);
    expect(client.session()).toBe(session);
    await session.send('one');
    const call = (await model.nextCall()).begin();
    session.leave();
    await expect(session.send('too late')).rejects.toMatchObject({ code: 'closed' });
    call.text('while away').finish();
    const back = await openSession(client);
    expect(back).not.toBe(session);
    await until(() => textsOf(back).at(-1) === 'while away', 'what was answered meanwhile');
    expect(call.aborted).toBe(false);

    await back.close();
    await until(() => back.state.connection === 'failed', 'the end');
    expect(back.state).toMatchObject({ ended: 'closed', error: { code: 'session_not_found' } });
    back.leave();
    const next = await openSession(client);
    expect(next.state).toMatchObject({ messages: [] });
    expect(next.state.sessionId).not.toBe(back.state.sessionId);
  });

  it('[CLI-7] left while it is being opened, it is left at the gateway too', async () => {
    const { url, get } = await gateway({ STORE });
    const client = connect(url);
    const credentials = newCredentials();
    const session = client.session({ credentials });
    const other = client.session({ name: 'other' });
    const left = new Promise<void>((resolve) => {
      client.subscribe(() => {
        if (client.connection !== 'connected') return;
        session.leave();
        resolve();
      });
    });
    await left;
    await other.opened();
    const bindings = get(SessionBindings);
    const known = async (): Promise<boolean> => {
      const { sessions } = await get(SessionStore).list({ limit: 10 });
      return sessions.some(({ sessionId }) => sessionId === credentials.sessionId);
    };
    await until(known, 'the handshake to make it');
    await until(() => !bindings.isAttached(credentials.sessionId), 'it to be left');
    expect(bindings.isAttached(other.state.sessionId as string)).toBe(true);
  });

  it('[CLI-8] a refused connection tells why, and goes on with another token', async () => {
    const { url, model } = await gateway({ STORE, AUTH: 'jwt', JWT_SECRET: SECRET });
    model.autoAnswer = (call) => call.answer('ok');
    let token = 'not a token';
    let asked = 0;
    const client = connect(url, {
      token: async () => {
        asked += 1;
        return token;
      },
    });
    const session = client.session();
    await expect(session.opened()).rejects.toMatchObject({ code: 'unauthorized', retryable: false });
    expect(client.connection).toBe('refused');
    await expect(client.agents()).rejects.toMatchObject({ code: 'unauthorized' });
    token = await new SignJWT({ sub: 'ann' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(SECRET));
    client.connect();
    await until(() => session.state.connection === 'connected', 'the session');
    await session.send('hello');
    const { sessions } = await client.list();
    expect(sessions).toMatchObject([{ sessionId: session.state.sessionId, title: 'hello' }]);
    client.dropConnection();
    await until(() => session.state.connection === 'reconnecting', 'the cut');
    await session.opened();
    expect(asked).toBe(3);
  });

  it('[CLI-9] kill -9 amid an answer and a restart: it comes back by itself, and shows what is stored', async () => {
    const vendor = await startOpenAiServer();
    onDispose(() => vendor.stop());
    const env = {
      DATA_DIR: await temporaryDirectory(),
      OPENAI_BASE_URL: vendor.url,
      OPENAI_API_KEY: 'sk-secret',
      MODEL: 'some-model',
    };
    const first = await gatewayProcess(env);
    onDispose(() => first.kill('SIGKILL'));
    const session = await openSession(connect(first.url));
    await session.send('one');
    (await vendor.nextCall()).text('half of it');
    await until(() => textsOf(session).at(-1) === 'half of it', 'the half');
    await first.kill('SIGKILL');
    await until(() => session.state.connection === 'reconnecting', 'the crash');
    const sent = session.send('two');
    const second = await gatewayProcess({ ...env, PORT: new URL(first.url).port });
    onDispose(() => second.kill('SIGKILL'));
    expect(await sent).toMatchObject({ duplicate: false });
    const call = await vendor.nextCall();
    call.text('answer two');
    call.finish();
    await until(() => textsOf(session).at(-1) === 'answer two', 'the next answer');
    await until(() => session.state.turns.length === 0, 'its end');
    expect(textsOf(session)).toEqual(['one', 'half of it', 'two', 'answer two']);
    expect(session.state.messages[1]?.metadata).toMatchObject({ status: 'interrupted' });
    expect((await session.history()).messages).toEqual(session.state.messages);
  });
});
