import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { PLACEHOLDER_TEXT, type UIMessage } from '../src/protocol.js';
import { until } from './support/channel.js';
import { newCredentials, textOf, type TestClient } from './support/client.js';
import { disposeAll, gateway } from './support/gateway.js';

function texts(messages: UIMessage[]): string[] {
  return messages.map(
    ({ role, parts }) => `${role}: ${parts.map((part) => (part.type === 'text' ? part.text : '')).join('')}`,
  );
}

async function history(client: TestClient, sessionId: string): Promise<UIMessage[]> {
  return (await client.do('session:history', { sessionId, limit: 100 })).messages;
}

describe('turns', () => {
  afterEach(disposeAll);

  it('[MSG-1 EVT-2 EVT-10 TURN-11] a message is stored, acknowledged, run, streamed, and ends in one terminal event', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ create: true });
    const sent = await socket.send(sessionId, 'Hello');
    expect(sent).toMatchObject({ duplicate: false, state: 'queued' });
    (await model.nextCall()).answer('Hi there');
    await socket.turn('completed', sent.turnId);
    const types = socket.events.map((event) =>
      event.type === 'chunk' ? event.chunk.type : event.type === 'turn' ? event.state : event.type,
    );
    expect(types).toEqual([
      'message',
      'queued',
      'running',
      'start',
      'start-step',
      'text-start',
      'text-delta',
      'text-end',
      'finish-step',
      'message-metadata',
      'finish',
      'completed',
    ]);
    expect(socket.events.at(-1)).toMatchObject({
      finishReason: 'stop',
      usage: { inputTokens: 10, outputTokens: 5 },
    });
    const stored = await history(socket, sessionId);
    expect(texts(stored)).toEqual(['user: Hello', 'assistant: Hi there']);
    expect(stored[1]?.metadata).toMatchObject({ turnId: sent.turnId, agent: 'alice', status: 'completed' });
  });

  it('[MSG-3 EVT-5] waiting messages run in order, one at a time', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ create: true });
    await socket.send(sessionId, 'one');
    const first = await model.nextCall();
    await socket.send(sessionId, 'two');
    await socket.send(sessionId, 'three');
    expect(model.calls).toHaveLength(1);
    first.answer('1');
    (await model.nextCall()).answer('2');
    const last = await socket.send(sessionId, 'four');
    (await model.nextCall()).answer('3');
    (await model.nextCall()).answer('4');
    await socket.turn('completed', last.turnId);
    expect(texts(await history(socket, sessionId))).toEqual([
      'user: one',
      'assistant: 1',
      'user: two',
      'assistant: 2',
      'user: three',
      'assistant: 3',
      'user: four',
      'assistant: 4',
    ]);
  });

  it('[MSG-5] interrupt ends the running turn with its text kept, and runs next, before those waiting', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ create: true });
    const one = await socket.send(sessionId, 'one');
    const first = await model.nextCall();
    first.begin().text('partial');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    await socket.send(sessionId, 'two');
    await socket.send(sessionId, 'now!', { whenBusy: 'interrupt' });
    const ended = await socket.turn('interrupted', one.turnId);
    expect(ended.reason).toBe('message');
    expect(first.aborted).toBe(true);
    const second = await model.nextCall();
    expect(second.asked).toBe('now!');
    second.answer('yes');
    const third = await model.nextCall();
    expect(third.asked).toBe('two');
    third.answer('2');
    await socket.turn('completed');
    expect(texts(await history(socket, sessionId)).slice(0, 4)).toEqual([
      'user: one',
      'assistant: partial',
      'user: now!',
      'assistant: yes',
    ]);
  });

  it('[MSG-3 MSG-4 REQ-9] reject answers session_busy, and the eleventh waiting message queue_full', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ create: true });
    await socket.send(sessionId, 'running');
    await model.nextCall();
    const message = (text: string, whenBusy?: string) => ({
      sessionId,
      messageId: randomUUID(),
      text,
      whenBusy,
    });
    expect(await socket.refused('message:send', message('no', 'reject'))).toBe('session_busy');
    for (let count = 0; count < 10; count += 1) await socket.send(sessionId, `waiting ${count}`);
    expect(await socket.refused('message:send', message('one too many'))).toBe('queue_full');
    expect(await socket.refused('message:send', message('me first', 'interrupt'))).toBe('queue_full');
  });

  it('[MSG-2] the same send again is the same turn; with another text it is a conflict', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ create: true });
    const message = { sessionId, messageId: 'm-1', text: 'once' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => socket.do('message:send', message)));
    expect(new Set(answers.map(({ turnId }) => turnId)).size).toBe(1);
    expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    (await model.nextCall()).answer('done');
    await socket.turn('completed');
    expect(await socket.do('message:send', message)).toMatchObject({ duplicate: true, state: 'completed' });
    expect(await socket.refused('message:send', { ...message, text: 'twice' })).toBe('message_conflict');
    expect(model.calls).toHaveLength(1);
  });

  it('[TURN-2 TURN-12] cancel reaches the provider at once and keeps what was shown', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ create: true });
    const { turnId } = await socket.send(sessionId, 'long');
    const call = await model.nextCall();
    call.begin().text('so far');
    await socket.until((event) => event.type === 'chunk' && event.chunk.type === 'text-delta');
    expect(await socket.do('turn:cancel', { sessionId })).toEqual({ turnId, cancelled: true });
    await socket.turn('cancelled', turnId);
    expect(call.aborted).toBe(true);
    expect(await socket.do('turn:cancel', { sessionId, turnId })).toEqual({ turnId, cancelled: true });
    expect(await socket.refused('turn:cancel', { sessionId })).toBe('turn_not_found');
    const stored = await history(socket, sessionId);
    expect(texts(stored)).toEqual(['user: long', 'assistant: so far']);
    expect(stored[1]?.metadata).toMatchObject({ status: 'cancelled', usage: { estimated: true } });
  });

  it('[TURN-3] a stop right after a send reaches its turn, whether it has begun or not', async () => {
    const { client, model } = await gateway({ STORE: 'sqlite' });
    model.autoAnswer = () => undefined;
    const socket = await client();
    const { sessionId } = await socket.open();
    for (let round = 0; round < 8; round += 1) {
      const sent = socket.send(sessionId, 'too hasty');
      const stopped = socket.do('turn:cancel', { sessionId });
      expect(await stopped).toEqual({ turnId: (await sent).turnId, cancelled: true });
    }
    expect(await socket.refused('turn:cancel', { sessionId, turnId: 'nothing' })).toBe('turn_not_found');
  });

  it('[TURN-4 EVT-5] a waiting turn that is cancelled ends unrun, before those still waiting', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ create: true });
    await socket.send(sessionId, 'one');
    const first = await model.nextCall();
    const two = await socket.send(sessionId, 'two');
    const three = await socket.send(sessionId, 'three');
    expect(await socket.do('turn:cancel', { sessionId, turnId: three.turnId })).toMatchObject({
      cancelled: true,
    });
    const cancelled = await socket.turn('cancelled', three.turnId);
    const answer = socket.events[socket.events.indexOf(cancelled) - 1];
    expect(answer).toMatchObject({ type: 'message', message: { parts: [{ text: PLACEHOLDER_TEXT }] } });
    first.answer('1');
    (await model.nextCall()).answer('2');
    await socket.turn('completed', two.turnId);
    expect(texts(await history(socket, sessionId))).toEqual([
      'user: one',
      'assistant: 1',
      'user: three',
      `assistant: ${PLACEHOLDER_TEXT}`,
      'user: two',
      'assistant: 2',
    ]);
  });

  it('[TURN-5 TURN-6 MSG-2 TURN-13] retry answers a message anew, withdraws what came after, and is repeatable', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ create: true });
    model.autoAnswer = (call) => call.answer(`re: ${call.asked}`);
    const one = await socket.send(sessionId, 'one', { messageId: 'first' });
    await socket.turn('completed', one.turnId);
    await socket.turn('completed', (await socket.send(sessionId, 'two')).turnId);
    const retry = { sessionId, retryId: 'r-1', messageId: 'first', text: 'uno' };
    const again = await socket.do('turn:retry', retry);
    const events = await socket.until((event) => event.type === 'turn' && event.state === 'completed');
    expect(events[0]).toMatchObject({ type: 'truncated', afterMessageId: 'first' });
    expect(events[1]).toMatchObject({ type: 'message', message: { id: 'first', parts: [{ text: 'uno' }] } });
    expect(texts(await history(socket, sessionId))).toEqual(['user: uno', 'assistant: re: uno']);
    expect(await socket.do('turn:retry', retry)).toMatchObject({ turnId: again.turnId, duplicate: true });
    expect(await socket.refused('turn:retry', { ...retry, text: 'eins' })).toBe('message_conflict');
    expect(await socket.refused('turn:retry', { ...retry, retryId: 'r-2', messageId: 'none' })).toBe(
      'invalid_payload',
    );
    expect(await socket.do('message:send', { sessionId, messageId: 'first', text: 'one' })).toMatchObject({
      turnId: one.turnId,
      duplicate: true,
    });
  });

  it('[EVT-4 TURN-12] an empty answer is completed with the placeholder', async () => {
    const { client, model } = await gateway();
    const socket = await client();
    const { sessionId } = await socket.open({ create: true });
    await socket.send(sessionId, 'say nothing');
    (await model.nextCall()).begin().part({ type: 'reasoning', text: 'hm' }).finish();
    await socket.turn('completed');
    expect(texts(await history(socket, sessionId))[1]).toBe(`assistant: ${PLACEHOLDER_TEXT}`);
    expect(textOf(socket.events)).toBe(PLACEHOLDER_TEXT);
  });

  it('[TURN-7 TURN-4] with the interrupt policy, a session that nobody watches ends its turns after the grace time', async () => {
    const { client, model } = await gateway({ DETACH_POLICY: 'interrupt', DETACH_GRACE: '50ms' });
    const credentials = newCredentials();
    const { sessionId } = credentials;
    const socket = await client();
    await socket.open({ ...credentials, create: true });
    await socket.send(sessionId, 'one');
    const call = await model.nextCall();
    call.begin().text('begun');
    await socket.send(sessionId, 'two');
    socket.vanish();
    await until(() => call.aborted, 'the turn to be interrupted');
    const back = await client();
    await until(async () => (await back.open(credentials)).turns.length === 0);
    const stored = await history(back, sessionId);
    expect(texts(stored)).toEqual([
      'user: one',
      'assistant: begun',
      'user: two',
      `assistant: ${PLACEHOLDER_TEXT}`,
    ]);
    expect(stored.map(({ metadata }) => metadata?.status)).toEqual([
      undefined,
      'interrupted',
      undefined,
      'interrupted',
    ]);
    expect(model.calls).toHaveLength(1);
  });

  it('[SES-6 SES-7] closing a session ends its turns, tells everyone, and refuses its id from then on', async () => {
    const { client, model } = await gateway();
    const credentials = newCredentials();
    const { sessionId } = credentials;
    const [one, other] = [await client(), await client()];
    await one.open({ ...credentials, create: true });
    await other.open(credentials);
    await one.send(sessionId, 'running');
    const call = await model.nextCall();
    call.begin().text('some');
    await one.send(sessionId, 'waiting');
    await one.do('session:close', { sessionId });
    const last = await other.until((event) => event.type === 'session');
    expect(last.at(-1)).toMatchObject({ type: 'session', state: 'closed' });
    const endings = other.events.filter((event) => event.type === 'turn' && event.state === 'interrupted');
    expect(endings).toHaveLength(2);
    expect(endings.every((event) => event.type === 'turn' && event.reason === 'closed')).toBe(true);
    expect(await one.refused('message:send', { sessionId, messageId: 'm', text: 'x' })).toBe(
      'session_not_found',
    );
    expect(await other.refused('session:open', { ...credentials, create: true })).toBe('session_not_found');
  });
});
