import type { Server } from 'socket.io';
import type { ClientSocket } from './socket.connection.js';

/** An Engine.IO connection; it may change from polling to a WebSocket below itself. */
export type Transport = ClientSocket['conn'];
export type Engine = Server['engine'];

/** The `ws` library's socket behind a WebSocket transport. */
export interface WebSocketLike {
  terminate?: () => void;
  on?: (event: 'ping', listener: (this: WebSocketLike) => void) => void;
}

/** @param transport the one below an Engine.IO connection; a polling one has no socket */
export function webSocketOf(transport: unknown): WebSocketLike | undefined {
  return (transport as { socket?: WebSocketLike }).socket;
}

/** How many transports were cut off, by what their peers did. */
export const cutOff = { unsent: 0, flood: 0, oversized: 0, attachments: 0, pings: 0 };

/** Ends a transport without the closing handshake, for which a peer that does not read would be waited. */
export function terminate(transport: Transport, why: keyof typeof cutOff): void {
  cutOff[why] += 1;
  const socket = webSocketOf(transport.transport);
  if (socket?.terminate) socket.terminate();
  else transport.close(true);
}
