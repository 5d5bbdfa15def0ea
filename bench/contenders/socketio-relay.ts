/** A relay over Socket.IO, as most are written: one emit a token, nothing kept. All ratios are to this one. */
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { ready, relay, report } from './relay.ts';

const server = createServer();
new Server(server).on('connection', (socket) => {
  const gone = new AbortController();
  socket.on('disconnect', () => gone.abort());
  socket.on('ask', ({ text }: { text: string }) => {
    relay(text, (delta) => socket.emit('delta', delta), gone.signal).then(
      () => socket.emit('end'),
      (error: unknown) => report(error, gone.signal),
    );
  });
});
server.listen(0, '127.0.0.1', 4_096, () => ready(server));
