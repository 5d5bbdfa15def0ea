import type { UIMessageChunk } from '../protocol.js';
import type { TurnEnding } from '../sessions/turn.reader.js';
import type { EventFormat } from './sse.sink.js';

/** The AI SDK's UI message stream, version 1, which `DefaultChatTransport` reads. */
export const UI_MESSAGE_FORMAT: EventFormat = {
  headers: { 'x-vercel-ai-ui-message-stream': 'v1' },
  begin: () => [],
  chunk: (chunk) => [chunk],
  end: (ending) => failureChunks(ending),
  done: '[DONE]',
};

/** What tells a client of the AI SDK that a turn has failed. */
export function failureChunks({ state, error }: TurnEnding): UIMessageChunk[] {
  return state === 'failed' ? [{ type: 'error', errorText: error?.message ?? 'The turn failed.' }] : [];
}
