/** W3C Trace Context, level 1: version, trace id, parent id, flags. Later versions may go on after a dash. */
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[^\s]{0,64})?$/;

/** @returns the first that is one; what is none is as good as nothing, as its standard says */
export function traceparentOf(...given: unknown[]): string | undefined {
  return given.find((each): each is string => typeof each === 'string' && TRACEPARENT.test(each));
}
