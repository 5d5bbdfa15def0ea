import type { UIMessageChunk } from '../../src/protocol.js';
import type { Answer } from '../../src/sessions/message.chunks.js';
import { TurnReader, type TurnEnding } from '../../src/sessions/turn.reader.js';
import { MooringError } from './errors.js';
import type { MooringSession } from './session.js';

/** See {@link MooringSession.stream}. */
export function turnStream(
  session: Pick<MooringSession, 'state' | 'on'>,
  answerOf: (turnId: string) => Answer | undefined,
  turnId: string,
  signal?: AbortSignal,
): ReadableStream<UIMessageChunk> {
  let listening: (() => void)[] = [];
  const release = (): void => {
    for (const stop of listening.splice(0)) stop();
  };
  let failure: MooringError | undefined;
  const queue = { highWaterMark: 0 };
  const source = {
    start(controller: ReadableStreamDefaultController<UIMessageChunk>) {
      let isOver = false;
      const over = (settle: () => void): void => {
        if (isOver) return;
        isOver = true;
        release();
        settle();
      };
      const close = (): void => over(() => controller.close());
      const fail = (error: MooringError): void =>
        over(() => {
          failure = error;
          if (controller.desiredSize === 0) controller.error(error);
        });
      const reader = new TurnReader(turnId, {
        chunk: (chunk) => controller.enqueue(chunk),
        end: (ending) => (ending.state === 'failed' ? fail(turnFailed(ending)) : close()),
      });
      const isOpen = (): boolean => session.state.turns.some((turn) => turn.turnId === turnId);
      /** @param isKnown whether the gateway has told of it, if it is open */
      const look = (isKnown: boolean): void => {
        const answer = answerOf(turnId);
        if (answer && !reader.catchUp(answer)) return close();
        const status = answer?.message.metadata?.status;
        const ending = session.state.ends[turnId] ?? (status && !isOpen() ? { state: status } : undefined);
        if (ending) reader.end(ending);
        // Over, and its answer is not among what we were sent: there is nothing more to tell.
        else if (isKnown && !isOpen()) close();
      };
      if (signal?.aborted) return close();
      signal?.addEventListener('abort', close);
      listening = [
        () => signal?.removeEventListener('abort', close),
        session.on('events', (events) => reader.take(events)),
        // After a replay, what it does not hold yet is still to come.
        session.on('opened', ({ recovered }) => look(!recovered)),
        session.on('failed', fail),
        session.on('left', close),
      ];
      look(false);
    },
    // Asked for when nothing is queued: an error that came before would have thrown away what was.
    pull: (controller: ReadableStreamDefaultController<UIMessageChunk>) => {
      if (failure) controller.error(failure);
    },
    cancel: release,
  };
  return new ReadableStream<UIMessageChunk>(source, queue);
}

function turnFailed({ error }: TurnEnding): MooringError {
  return new MooringError(error ?? { code: 'internal', message: 'The turn failed.', retryable: true });
}
