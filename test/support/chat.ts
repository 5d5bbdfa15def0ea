import type { Chat } from '@ai-sdk/react';
import type { UIMessage } from 'ai';
import { SessionStore } from '../../src/sessions/session.store.js';
import { until } from './channel.js';
import type { TestGateway } from './gateway.js';
import type { ModelCall } from '../../src/testing/scripted.model.js';

/** Every status that a chat goes through from now on. */
export function statusesOf(chat: Chat<UIMessage>): string[] {
  const statuses: string[] = [];
  chat['~registerStatusCallback'](() => statuses.push(chat.status));
  return statuses;
}

export function textsOf({ messages }: { messages: readonly UIMessage[] }): string[] {
  return messages.map(({ parts }) => parts.map((part) => ('text' in part ? part.text : '')).join(''));
}

export async function storedMessages({ get }: TestGateway, sessionId: string): Promise<UIMessage[]> {
  return ((await get(SessionStore).messages(sessionId, { limit: 100 }))?.messages ?? []) as UIMessage[];
}

/**
 * An answer whose stream is cut five times; a stock chat takes each for an error, and is told to resume.
 * @returns what the answer says by then
 */
export async function throughCuts(chat: Chat<UIMessage>, call: ModelCall, cut: () => void): Promise<string> {
  let text = '';
  for (let count = 0; count < 5; count += 1) {
    call.text(`before ${count}, `);
    text += `before ${count}, `;
    await until(() => textsOf(chat).at(-1) === text, 'what came before the cut');
    cut();
    await until(() => chat.status === 'error', 'the cut');
    call.text(`after ${count}. `);
    text += `after ${count}. `;
    void chat.resumeStream();
    await until(() => textsOf(chat).at(-1) === text, 'the rest');
  }
  return text;
}
