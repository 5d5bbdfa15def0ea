import { isNativeError } from 'node:util/types';
import { StoreUnavailable } from '../session.store.js';

/** Primary result codes of SQLite, https://sqlite.org/rescode.html. */
export const SQLITE = {
  error: 1,
  busy: 5,
  corrupt: 11,
  tooBig: 18,
  constraint: 19,
  mismatch: 20,
  misuse: 21,
  notADatabase: 26,
} as const;

/** Faults of what was asked rather than of the engine: asking again cannot help. */
const OF_THE_CALL: ReadonlySet<number> = new Set([
  SQLITE.error,
  SQLITE.tooBig,
  SQLITE.constraint,
  SQLITE.mismatch,
  SQLITE.misuse,
]);

/** The primary result code; undefined for what is no error of SQLite. */
export function errorCode(error: unknown): number | undefined {
  // Not `instanceof Error`: what native code throws need not come from this realm.
  if (!isNativeError(error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}

/** The engine is out of reach, full or broken, so that the whole store is concerned and not one call. */
export function isEngineFault(error: unknown): boolean {
  if (error instanceof StoreUnavailable) return true;
  // The file is closed: the process is about to end.
  if (isNativeError(error) && 'code' in error && error.code === 'ERR_INVALID_STATE') return true;
  const code = errorCode(error);
  return code !== undefined && !OF_THE_CALL.has(code);
}

/** What a caller of the store is told: {@link StoreUnavailable} for the engine's faults, others as they are. */
export function toStoreError(error: unknown): Error {
  if (error instanceof StoreUnavailable) return error;
  if (isEngineFault(error)) return new StoreUnavailable(error);
  return isNativeError(error) ? error : new Error(String(error));
}
