import { ChatGateway } from '../../src/gateway/chat.gateway.js';
import { until } from './channel.js';
import type { TestGateway } from './gateway.js';

/** Engine.IO's side of a connection, as far as it must be known to break it. */
interface Peer {
  transport: { name: string; socket?: { terminate(): void } };
  once(event: 'close', listener: () => void): void;
}

export interface EngineOptions {
  pingInterval: number;
  pingTimeout: number;
}

interface Engine {
  clients: Record<string, Peer | undefined>;
  opts: EngineOptions;
}

function engineOf(gateway: TestGateway): Engine {
  const { server } = gateway.get(ChatGateway) as unknown as { server: { engine: Engine } };
  return server.engine;
}

/**
 * What connections that are made from now on are told and held to. These are no configuration of the gateway,
 * so a test that cannot wait for ten seconds changes them here.
 */
export function engineOptions(gateway: TestGateway): EngineOptions {
  return engineOf(gateway).opts;
}

/**
 * Breaks the transports of all clients on the server's side, without a word. A transport that is just being
 * upgraded is waited for: half of it would survive.
 * @returns how many there were, once the gateway has noticed
 */
export async function cutAll(gateway: TestGateway): Promise<number> {
  const peers = Object.values(engineOf(gateway).clients).filter((peer) => peer !== undefined);
  await until(() => peers.every(({ transport }) => transport.name === 'websocket'), 'an upgrade');
  const gone = peers.map((peer) => new Promise<void>((resolve) => peer.once('close', resolve)));
  for (const { transport } of peers) transport.socket?.terminate();
  await Promise.all(gone);
  return peers.length;
}

/**
 * Breaks the transport of one client on the server's side, if it is a WebSocket by now.
 * @param engineId Engine.IO's, which both sides know
 */
export function cutOne(gateway: TestGateway, engineId: string): void {
  engineOf(gateway).clients[engineId]?.transport.socket?.terminate();
}

/** Transports that Engine.IO holds, connected to the namespace or not. */
export function engineClients(gateway: TestGateway): number {
  return Object.keys(engineOf(gateway).clients).length;
}
