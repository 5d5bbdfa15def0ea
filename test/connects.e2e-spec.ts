import { afterEach, describe, expect, it } from '@jest/globals';
import { ChatGateway } from '../src/gateway/chat.gateway.js';
import { ChatSocket } from '../src/projections/chat.socket.js';
import { until } from './support/channel.js';
import { newCredentials, textOf } from './support/client.js';
import { disposeAll, gateway, onDispose } from './support/gateway.js';
import { RawClient } from './support/raw.client.js';
import { Wire } from './support/wire.js';

const UPGRADE = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

async function wire(url: string): Promise<Wire> {
  const made = await Wire.open(url);
  onDispose(async () => made.end('destroy'));
  return made;
}

describe('those who come at once', () => {
  afterEach(disposeAll);

  it('[LIM-16] all have their sessions, while an answer is streamed', async () => {
    const { url, client, model } = await gateway({ MAX_SOCKETS_PER_IP: '1000', STORE: 'sqlite' });
    const watcher = await client();
    const { sessionId } = await watcher.open();
    await watcher.send(sessionId, 'Tell me');
    const call = (await model.nextCall()).begin().text('before, ');
    const comers = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const session = { ...newCredentials(), create: true };
        const comer = await RawClient.connect(url, { session });
        onDispose(() => comer.close());
        return comer;
      }),
    );
    call.text('meanwhile, ');
    const opened = await Promise.all(comers.map(({ packets }) => packets.next()));
    call.text('after.').finish();
    expect(opened.every((packet) => packet.startsWith('42["session:opened"'))).toBe(true);
    await watcher.turn('completed');
    expect(textOf(watcher.events)).toBe('before, meanwhile, after.');
  });

  it('[LIM-16] [LIM-8] count among the sockets of their address while they wait', async () => {
    const { url, get } = await gateway({ MAX_SOCKETS_PER_IP: '5' });
    // Ten at once: as often as five sockets may connect in a burst.
    const wires = await Promise.all(Array.from({ length: 10 }, () => wire(url)));
    for (const [index, peer] of wires.entries())
      peer.request('GET', index % 2 ? '/api/chat' : '/socket.io/?EIO=4&transport=websocket', UPGRADE);
    await Promise.all(wires.map((peer) => peer.until(() => peer.head.includes('\r\n\r\n'))));
    const statuses = wires.map(({ head }) => head.slice(9, 12)).sort();
    expect(statuses.filter((status) => status === '101')).toHaveLength(5);
    // Engine.IO refuses an upgrade with 400.
    expect(new Set(statuses)).toEqual(new Set(['101', '400', '429']));
    // Those that were let in are the only ones that are counted now: as many as leave can come.
    for (const peer of wires) peer.end('destroy');
    await until(() => get(ChatSocket).sockets.size === 0, 'their end');
    const late = await wire(url);
    late.request('GET', '/api/chat', UPGRADE);
    await late.until(() => late.head.includes('\r\n\r\n'));
    expect(late.head).toMatch(/^HTTP\/1.1 (101|429)/);
  });

  it.each(['end', 'destroy', 'reset'] as const)(
    '[LIM-16] who goes while it waits harms nobody: %s',
    async (way) => {
      const { url, client, get } = await gateway({ MAX_SOCKETS_PER_IP: '1000' });
      const wires = await Promise.all(Array.from({ length: 60 }, () => wire(url)));
      for (const peer of wires) {
        peer.request('GET', '/socket.io/?EIO=4&transport=websocket', UPGRADE);
        peer.end(way);
      }
      const neighbour = await client();
      expect((await neighbour.ask('agent:list', {})).ok).toBe(true);
      await until(() => get(ChatGateway).sockets === 1, 'the others to be gone');
    },
  );

  it('[LIM-16] an upgrade to what is not there is refused, not left to wait', async () => {
    const { url } = await gateway();
    const peer = await wire(url);
    peer.request('GET', '/nothing', UPGRADE);
    await peer.until(() => peer.head.includes('\r\n\r\n'));
    expect(peer.head).toMatch(/^HTTP\/1.1 404 /);
    await peer.until(() => peer.closed);
    expect(peer.closed).toBe(true);
  });
});
