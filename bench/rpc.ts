/** Calls between the bench's processes, over the IPC channel that Node gives a child. */
import type { ChildProcess } from 'node:child_process';

interface Call {
  call: number;
  method: string;
  args: unknown;
}

interface Answer {
  answer: number;
  result?: unknown;
  error?: string;
}

type Handlers = Record<string, (args: never) => unknown>;

/** Answers the parent's calls; the process ends with the parent. */
export function serve(handlers: Handlers): void {
  process.on('message', (message: Partial<Call>) => {
    const { call, method = '', args } = message;
    const handler = handlers[method];
    if (call === undefined || !handler) return;
    const answer = async (): Promise<Answer> => {
      try {
        return { answer: call, result: await handler(args as never) };
      } catch (error) {
        return {
          answer: call,
          error: error instanceof Error ? (error.stack ?? error.message) : String(error),
        };
      }
    };
    void answer().then((answered) => process.send?.(answered));
  });
  process.once('disconnect', () => process.exit(0));
}

let calls = 0;

/**
 * Calls a child.
 * @throws Error with what the child threw, or that it exited, or did not answer in time
 */
export function call<Result>(
  child: ChildProcess,
  method: string,
  args?: unknown,
  timeoutMs = 120_000,
): Promise<Result> {
  calls += 1;
  const id = calls;
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      act();
    };
    const onMessage = (message: Partial<Answer>): void => {
      if (message.answer !== id) return;
      if (message.error === undefined) settle(() => resolve(message.result as Result));
      else settle(() => reject(new Error(message.error)));
    };
    const onExit = (code: number | null, signal: string | null): void =>
      settle(() => reject(new Error(`it exited with ${code ?? signal} during ${method}`)));
    const timer = setTimeout(
      () => settle(() => reject(new Error(`${method} did not end within ${timeoutMs / 1_000} s`))),
      timeoutMs,
    );
    child.on('message', onMessage);
    child.on('exit', onExit);
    if (!child.connected) return onExit(child.exitCode, child.signalCode);
    child.send({ call: id, method, args });
  });
}
