import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

/** Where the kernel does not name its boots, two start times this far apart still are the same boot. */
const SAME_BOOT_SECONDS = 120;

/**
 * Names the present run of the machine: what was written to files before another one may have been lost,
 * whatever a process was told. Either the kernel's own id or `up:` and the boot's time in epoch seconds.
 */
export function currentBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return `up:${Math.round(Date.now() / 1000 - uptime())}`;
  }
}

/** A clock that was set meanwhile makes it say no, which only costs clients a snapshot. */
export function isSameBoot(a: string, b: string): boolean {
  if (a === b) return true;
  if (!a.startsWith('up:') || !b.startsWith('up:')) return false;
  return Math.abs(Number(a.slice(3)) - Number(b.slice(3))) < SAME_BOOT_SECONDS;
}
