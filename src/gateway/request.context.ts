import { AsyncLocalStorage } from 'node:async_hooks';

/** Of the request that is being handled: what is logged meanwhile carries its id. Those over HTTP have one of theirs. */
export const requestContext = new AsyncLocalStorage<{ readonly request: string }>();
