import type { ServerEvents } from '../protocol.js';
import type { ClientSocket } from './socket.connection.js';

let encoded: { payload?: object; text: string } = { text: '' };

/**
 * What `socket.emit(name, payload)` does, for large and frequent events: an EVENT of the namespace `/`, by
 * Socket.IO's protocol 5. It is encoded once for all sockets that get the same payload in turn, and not searched
 * for binary data first, which nothing of the contract holds.
 */
export function writeEvent<Name extends keyof ServerEvents>(
  socket: ClientSocket,
  name: Name,
  payload: Parameters<ServerEvents[Name]>[0],
): void {
  if (!socket.connected) return;
  if (encoded.payload !== payload) encoded = { payload, text: `2${JSON.stringify([name, payload])}` };
  socket.conn.write(encoded.text);
}
