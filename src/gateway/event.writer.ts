import type { ServerEvents } from '../protocol.js';
import { outboxOf } from './outbox.js';
import type { ClientSocket } from './socket.connection.js';

interface Encoded {
  payload?: object;
  /** The packet as Engine.IO carries it over any transport. */
  text: string;
  /** The same as a WebSocket frame; made for the first socket that needs it. */
  frame?: Buffer;
}

let encoded: Encoded = { text: '' };

/**
 * What `socket.emit(name, payload)` does, for large and frequent events: an EVENT of the namespace `/`, by
 * Socket.IO's protocol 5. It is encoded once for all sockets that get the same payload in turn, down to the
 * frame, as Socket.IO's own adapter does for rooms; and it is not searched for binary data first, which nothing
 * of the contract holds.
 */
export function writeEvent<Name extends keyof ServerEvents>(
  socket: ClientSocket,
  name: Name,
  payload: Parameters<ServerEvents[Name]>[0],
): void {
  if (!socket.connected) return;
  if (encoded.payload !== payload) encoded = { payload, text: `2${JSON.stringify([name, payload])}` };
  const { conn } = socket;
  if (conn.transport.name !== 'websocket') return void conn.write(encoded.text);
  encoded.frame ??= textFrame(`4${encoded.text}`);
  if (outboxOf(conn).writeFrame(encoded.frame)) return;
  // An option that Engine.IO does not declare; where it cannot be used, the text is.
  const options = { compress: true, wsPreEncodedFrame: [encoded.frame] };
  conn.write(encoded.text, options);
}

/** An unmasked, final text frame (RFC 6455, section 5.2), in one piece, which the kernel takes in one write. */
function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const start = length < 126 ? 2 : length < 0x1_00_00 ? 4 : 10;
  const frame = Buffer.allocUnsafe(start + length);
  frame[0] = 0x81;
  if (start === 2) frame[1] = length;
  else if (start === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame.write(text, start);
  return frame;
}
