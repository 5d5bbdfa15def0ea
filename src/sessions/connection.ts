import type { EventPacket } from '../protocol.js';

/** Who is at the other end: a token's subject, or someone who has to show a session's key. */
export type Principal = { kind: 'anonymous' } | { kind: 'subject'; sub: string; expiresAt?: number };

/** A socket as sessions see it; only the gateway knows what it is made of. */
export interface Connection {
  readonly id: string;
  readonly principal: Principal;
  /** W3C trace context that it came with. */
  readonly traceparent?: string;
  /** False once the transport is gone: nothing is bound to it any more. */
  readonly open: boolean;
  /** Handed over, and not yet written. */
  readonly unsentBytes: number;
  /** More is unsent than the socket may hold; `SessionService.drained` is called when it is not any more. */
  readonly congested: boolean;
  /** Sends or silently drops, where the transport closed in this very moment. */
  send(packet: EventPacket): void;
  /** Ends the transport so that the client comes back by itself. */
  reconnect(reason: string): void;
}
