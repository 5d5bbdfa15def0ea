/** Peers that are gone without having said so, and peers that never finish what they began. */
import { MooringClient } from '../../bench/clients.ts';
import { LIMITS } from '../../src/protocol.ts';
import { Proxy } from '../../stress/proxy.ts';
import { waitUntil, type GatewayProcess } from '../site.ts';
import type { Scenario } from './scenario.ts';

const PATIENCE_MS = 60_000;
/** What a limit's own timers, and whoever looks, may be late. */
const SLACK_MS = 1_000;

/** Announces two attachments and sends none; answers pings. */
class Announcer extends MooringClient {
  announce(): void {
    this.send('452-0["message:send",{"_placeholder":true,"num":0}]');
  }
}

export const deadPeers: Scenario = {
  name: 'dead-peers',
  what: ({ deadPeers: { peers } }) =>
    `${peers} peers behind a network that swallows all, ${peers} that announce attachments`,
  play: async (site, { deadPeers: { peers } }) => {
    const gateway = await site.gateway(site.dataDir());
    const proxy = await Proxy.listen(() => Number(new URL(gateway.url).port));
    try {
      const silent = Array.from({ length: peers }, () => new MooringClient(proxy.url));
      for (const peer of silent) await peer.connect();
      site.say(`${peers} peers are connected, and gone`);
      proxy.cut('half-open', PATIENCE_MS);
      const goneMs = await untilNobody(gateway);

      const announcers = Array.from({ length: peers }, () => new Announcer(gateway.url));
      for (const peer of announcers) await peer.connect();
      site.say(`${peers} peers announce attachments`);
      for (const peer of announcers) peer.announce();
      const cutMs = await untilNobody(gateway);
      await Promise.all(silent.map((peer) => peer.close()));
      const { pingIntervalMs, pingTimeoutMs, attachmentTimeoutMs } = LIMITS;
      return [
        {
          what: 'until all that were gone were noticed',
          value: goneMs ?? Infinity,
          unit: 'ms',
          limit: pingIntervalMs + pingTimeoutMs + SLACK_MS,
        },
        {
          what: 'until all unfinished attachments were cut off',
          value: cutMs ?? Infinity,
          unit: 'ms',
          limit: attachmentTimeoutMs + SLACK_MS,
        },
        { what: 'sockets that are left', value: await gateway.metric('mooring_sockets'), limit: 0 },
      ];
    } finally {
      await proxy.close();
    }
  },
};

function untilNobody(gateway: GatewayProcess): Promise<number | undefined> {
  return waitUntil(async () => (await gateway.metric('mooring_sockets')) === 0, PATIENCE_MS);
}
