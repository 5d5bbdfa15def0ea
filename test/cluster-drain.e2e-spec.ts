import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { until } from './support/channel.js';
import { newCredentials } from './support/client.js';
import { Cluster, portOf, report, sendUntilAccepted } from './support/cluster.js';
import { disposeAll, onDispose } from './support/gateway.js';
import { Guest } from './support/guest.js';
import { assertValidOpenAiMessages } from './support/prompt.validity.js';
import { redisMissing } from './support/redis.server.js';

const PEOPLE = 6;
const PATIENCE_MS = 240_000;
const TERMINAL = ['completed', 'interrupted'];

const missing = redisMissing();

if (missing) {
  describe('a rolling restart', () => {
    it.skip(missing, () => undefined);
  });
}

(missing ? describe.skip : describe)('a rolling restart', () => {
  afterEach(disposeAll, 60_000);

  it(
    '[CLU-8] three nodes drained one after the other under load: no acknowledged message is lost, each turn finishes or is marked, clients are served on',
    async () => {
      const cluster = await Cluster.start({
        nodes: 3,
        env: { DRAIN_TIMEOUT: '1s' },
        answer: (call) => {
          assertValidOpenAiMessages(call.messages);
          void (async () => {
            for (let token = 0; token < 30; token += 1) {
              call.text(`${token} `);
              await sleep(20);
            }
            call.finish();
          })();
        },
      });
      const balancer = await cluster.balancer();
      let over = false;
      const guests = Array.from({ length: PEOPLE }, () => {
        const guest = new Guest(balancer.url, newCredentials(), ['websocket']);
        onDispose(() => guest.close());
        return guest;
      });
      const talking = guests.map(async (guest, person) => {
        for (let turn = 0; !over; turn += 1) {
          await sendUntilAccepted(guest, `person ${person} says ${turn}`);
          await until(() => guest.view.turns.length <= 2, 'room for more');
        }
      });
      for (let index = 0; index < 3; index += 1) {
        const { url } = cluster.node(index);
        await until(() => guests.every(({ view }) => view.turns.length > 0), 'everybody to be answered');
        expect(await cluster.node(index).kill('SIGTERM')).toBe(0);
        await cluster.startNode(index, String(portOf(url)));
        await cluster.untilReady();
      }
      over = true;
      await Promise.all(talking);
      for (const guest of guests) {
        await until(() => guest.view.turns.length === 0 && guest.bound, 'all turns to end');
        expect(guest.complaints).toEqual([]);
        const { client } = await cluster.join(0, guest.credentials);
        const { sessionId } = guest.credentials;
        const { messages } = await client.do('session:history', { sessionId, limit: 100 });
        const known = new Set(messages.map(({ id }) => id));
        expect(guest.accepted.filter(({ messageId }) => !known.has(messageId))).toEqual([]);
        const answers = messages.filter(({ role }) => role === 'assistant');
        expect(answers).toHaveLength(guest.accepted.length);
        for (const { metadata } of answers) expect(TERMINAL).toContain(metadata?.status);
      }
      const accepted = guests.flatMap((guest) => guest.accepted);
      report(
        `${accepted.length} messages over three restarts, ${cluster.vendor.calls.length} calls of the model`,
      );
      const asked = cluster.vendor.calls.map((call) => call.asked);
      expect(new Set(asked).size).toBe(asked.length);
    },
    PATIENCE_MS,
  );
});
