/** The AI SDK as its documentation begins: `streamText` over HTTP, nothing kept. */
import { serveChat } from './chat.ts';

serveChat();
