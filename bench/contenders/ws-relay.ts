/** A relay over plain WebSockets: one frame a token, nothing kept. */
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { ready, relay, report } from './relay.ts';

const server = createServer();
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket) => {
  const gone = new AbortController();
  socket.on('close', () => gone.abort());
  socket.on('message', (data: Buffer) => {
    const { text } = JSON.parse(data.toString()) as { text: string };
    relay(text, (delta) => socket.send(JSON.stringify({ delta })), gone.signal).then(
      () => socket.send('{"end":true}'),
      (error: unknown) => report(error, gone.signal),
    );
  });
});
server.listen(0, '127.0.0.1', 4_096, () => ready(server));
