/** The AI SDK as its documentation resumes streams: a copy of each is kept on Redis by `resumable-stream`. */
import { randomUUID } from 'node:crypto';
import { createResumableStreamContext } from 'resumable-stream';
import { serveChat } from './chat.ts';

// One context for all streams, on the server of REDIS_URL; one for each request would connect each time.
const context = createResumableStreamContext({ waitUntil: null });

serveChat(async ({ stream }) => {
  await context.createNewResumableStream(randomUUID(), () => stream);
});
