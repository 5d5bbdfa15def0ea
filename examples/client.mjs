import { randomBytes, randomUUID } from 'node:crypto';
import { io } from 'socket.io-client';

const [url = 'http://127.0.0.1:3000', text = 'Hello, who are you?'] = process.argv.slice(2);
const [sessionId, key] = [16, 32].map((bytes) => randomBytes(bytes).toString('hex'));
const session = { sessionId, key, create: true }; // and, from the first answer on, a position
const message = { sessionId, messageId: randomUUID(), text };
const socket = io(url, { auth: (give) => give({ session }), retries: 10, ackTimeout: 5_000 });
const apply = ({ epoch, to, events }) => {
  session.position = { epoch, seq: to };
  for (const { type, chunk, state } of events) {
    if (chunk?.type === 'text-delta') process.stdout.write(chunk.delta);
    if (type === 'turn' && state !== 'queued' && state !== 'running') socket.close();
  }
};
socket.on('session:opened', ({ position, events }) => apply({ ...position, to: position.seq, events }));
socket.on('session:events', apply);
socket.once('session:opened', () => socket.emit('message:send', message));
