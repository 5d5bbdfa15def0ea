/**
 * Preloaded into the gateway's process (`--import`): answers, over its IPC channel, what it holds, and moves its
 * clock. The gateway's own code knows nothing of it.
 */
import type { ProbeAnswer, ProbeQuestion } from './gateway.ts';

let shiftMs = Number(process.env['STRESS_CLOCK_SHIFT_MS'] ?? 0);
const RealDate = Date;

/** The system's clock as it would be, had somebody set it; monotonic time goes on as before. */
class ShiftedDate extends RealDate {
  constructor(...words: unknown[]) {
    if (words.length === 0) super(RealDate.now() + shiftMs);
    else super(...(words as [number]));
  }

  static override now(): number {
    return RealDate.now() + shiftMs;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;
if (shiftMs !== 0) {
  Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + shiftMs });
}

process.on('message', (question: ProbeQuestion) => {
  if (question.ask === 'clock') shiftMs = question.shiftMs;
  // Twice: what the first one finalises, the second one frees.
  if (question.ask === 'memory') for (let time = 0; time < 2; time += 1) globalThis.gc?.();
  const resources: Record<string, number> = {};
  for (const type of process.getActiveResourcesInfo()) resources[type] = (resources[type] ?? 0) + 1;
  const answer: ProbeAnswer = { id: question.id, resources, heapBytes: process.memoryUsage().heapUsed };
  process.send?.(answer);
});
// A stress run that was itself killed leaves no gateway behind.
process.once('disconnect', () => process.exit(1));
process.channel?.unref();
