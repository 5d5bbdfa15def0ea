/** How long a test waits for what must come; far above any delay of a slow machine. */
const PATIENCE_MS = 20_000;

/** Waits until a condition holds, looking again each few milliseconds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = 'a condition',
): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
