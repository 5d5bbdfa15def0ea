import { randomUUID } from 'node:crypto';
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { EventPacket, Position, SessionEvent } from '../../src/protocol.js';
import { mergeEvents } from '../../src/sessions/coalescer.js';
import type { Reading } from '../../src/sessions/session.store.js';
import {
  applyEvents,
  applyOpened,
  EMPTY_CONVERSATION,
  type ConversationView,
} from '../support/conversation.js';
import { operations } from './operations.js';
import { Performer } from './performer.js';
import type { StoreUnderTest } from './store.driver.js';

const RUNS = 60;

interface Mark {
  position: Position;
  view: ConversationView;
}

/** Whatever is done to a session: who comes back from anywhere ends where those are who never left. */
export function describeReplayProperty(get: () => StoreUnderTest): void {
  it('[RES-2] [RES-3] a reader at any earlier position gets exactly the later events, or a snapshot that shows the same', async () => {
    await fc.assert(
      fc.asyncProperty(operations(1), async (list) => {
        const id = randomUUID();
        const performer = new Performer(get(), [id]);
        await performer.start();
        const log: SessionEvent[] = [];
        let view = EMPTY_CONVERSATION;
        let position: Position = (await present(performer)).position;
        get().feed.onEvents((packet: EventPacket) => {
          if (packet.sessionId !== id) return;
          expect(packet.from).toBe(position.seq);
          log.push(...packet.events);
          view = applyEvents(view, packet.events);
          position = { epoch: packet.epoch, seq: packet.to };
        });
        await get().feed.subscribe(id);
        const marks: Mark[] = [{ position, view }];
        for (const operation of list) {
          // It goes on listening; others' coming and going is another test's.
          if (operation.do === 'subscribe') continue;
          await performer.perform(operation);
          if (marks.at(-1)?.position !== position) marks.push({ position, view });
        }
        for (const mark of marks) {
          const reading = await performer.read(0, mark.position);
          if (!reading) throw new Error('the session is gone');
          expect(reading.position).toEqual(position);
          if (reading.recovered) {
            expect(reading.events).toEqual(mergeEvents(log.filter(({ seq }) => seq > mark.position.seq)));
          }
          expectSame(shownAfter(mark.view, reading), view);
        }
        expectSame(shownAfter(EMPTY_CONVERSATION, await present(performer)), view);
      }),
      { numRuns: RUNS },
    );
  });
}

async function present(performer: Performer): Promise<Reading> {
  const reading = await performer.read(0);
  if (!reading) throw new Error('the session is gone');
  return reading;
}

function shownAfter(view: ConversationView, reading: Reading): ConversationView {
  return applyOpened(view, { ...reading, sessionId: '', created: false });
}

/** Turns that wait may be shown in the order in which they came or will run: what counts is how they end up. */
function expectSame(shown: ConversationView, expected: ConversationView): void {
  expect(comparable(shown)).toEqual(comparable(expected));
}

function comparable({ messages, turns, answer }: ConversationView): unknown {
  const waiting = new Set(turns.flatMap(({ messageId, state }) => (state === 'queued' ? [messageId] : [])));
  return {
    begun: messages.filter(({ id }) => !waiting.has(id)),
    waiting: messages.filter(({ id }) => waiting.has(id)).sort((a, b) => (a.id < b.id ? -1 : 1)),
    turns: [...turns].sort((a, b) => (a.turnId < b.turnId ? -1 : 1)),
    answer,
  };
}
