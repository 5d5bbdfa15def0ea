import type { Socket } from 'node:net';
import type { Server } from 'socket.io';
import type { ClientSocket } from './socket.connection.js';

/** An Engine.IO connection; it may change from polling to a WebSocket below itself. */
export type Transport = ClientSocket['conn'];
export type Engine = Server['engine'];

const OPEN = 1;

/** The `ws` library's socket behind a WebSocket transport. */
export interface WebSocketLike {
  terminate?: () => void;
  /** As of the `WebSocket` of browsers: 1 is open. */
  readyState?: number;
  /** The TCP socket below it, while it is open. */
  _socket?: Socket | null;
  on?: (event: 'ping', listener: (this: WebSocketLike) => void) => void;
}

/** @param transport the one below an Engine.IO connection; a polling one has no socket */
export function webSocketOf(transport: unknown): WebSocketLike | undefined {
  return (transport as { socket?: WebSocketLike }).socket;
}

/**
 * Where a frame for a WebSocket can be written past Engine.IO, since that holds nothing back which it would overtake.
 */
export function socketPastEngine(conn: Transport): Socket | undefined {
  const { readyState, transport, writeBuffer } = conn as unknown as EngineState;
  if (readyState !== 'open' || !transport.writable || writeBuffer.length > 0) return undefined;
  if (transport.name !== 'websocket') return undefined;
  const webSocket = webSocketOf(transport);
  // Nothing may follow a Close frame, and Engine.IO learns of one only when the closing is done.
  return webSocket?.readyState === OPEN ? (webSocket._socket ?? undefined) : undefined;
}

/** What Engine.IO does not declare of a connection. */
interface EngineState {
  readyState: string;
  /** `writable`: nothing that was handed to it is on its way. */
  transport: { name: string; writable: boolean };
  /** Packets that wait for that. */
  writeBuffer: unknown[];
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
