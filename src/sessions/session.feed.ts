import type { EventPacket } from '../protocol.js';

/**
 * Which sessions' events this node needs: those that a socket here is bound to. Being subscribed is what
 * makes a session attached. A feed may lose a packet (a reader notices by `from`), it never reorders.
 */
export abstract class SessionFeed {
  abstract subscribe(sessionId: string): Promise<void>;
  abstract unsubscribe(sessionId: string): Promise<void>;
  abstract onEvents(listener: (packet: EventPacket) => void): void;

  /** Called where packets of a session may have been lost: what was missed has to be read. */
  abstract onGap(listener: (sessionId: string) => void): void;

  /**
   * Since when no socket is bound to the session on any node, epoch milliseconds (0: for an unknown time); undefined:
   * somebody is attached.
   */
  abstract detachedSince(sessionId: string): Promise<number | undefined>;
}
