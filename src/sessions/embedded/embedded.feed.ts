import { Injectable } from '@nestjs/common';
import type { EventPacket } from '../../protocol.js';
import { SessionFeed } from '../session.feed.js';
import { ActiveSessions } from './active.sessions.js';

/** In one process a feed is a direct call; being subscribed keeps the session in memory and attached. */
@Injectable()
export class EmbeddedFeed extends SessionFeed {
  readonly #subscribed = new Set<string>();
  #listener: (packet: EventPacket) => void = () => undefined;

  constructor(private readonly sessions: ActiveSessions) {
    super();
    sessions.onEvents((packet) => {
      if (this.#subscribed.has(packet.sessionId)) this.#listener(packet);
    });
  }

  subscribe(sessionId: string): Promise<void> {
    this.#subscribed.add(sessionId);
    return this.sessions.setAttached(sessionId, true);
  }

  unsubscribe(sessionId: string): Promise<void> {
    this.#subscribed.delete(sessionId);
    return this.sessions.setAttached(sessionId, false);
  }

  onEvents(listener: (packet: EventPacket) => void): void {
    this.#listener = listener;
  }

  /** A direct call loses nothing. */
  onGap(): void {}

  detachedSince(sessionId: string): Promise<number | undefined> {
    return Promise.resolve(this.#subscribed.has(sessionId) ? undefined : 0);
  }
}
