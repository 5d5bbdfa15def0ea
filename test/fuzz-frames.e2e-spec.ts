import { afterEach, describe, expect, it } from '@jest/globals';
import { ChatGateway } from '../src/gateway/chat.gateway.js';
import { LIMITS } from '../src/protocol.js';
import { SessionStore } from '../src/sessions/session.store.js';
import { until } from './support/channel.js';
import { newCredentials } from './support/client.js';
import { engineClients, engineOptions } from './support/cut.js';
import { fuzz, ProcessWatch, type Dice } from './support/fuzz.js';
import { disposeAll, gateway } from './support/gateway.js';
import { anyValue, mutateValue } from './support/mutation.js';
import { answerNeighbour, Neighbour, SECRET } from './support/neighbour.js';
import { frame, Wire, type FrameOptions } from './support/wire.js';

/** How long a case waits for an answer that may never come. */
const ANSWER_MS = 40;
const PROBE = 4_242_424;
const RECORD_SEPARATOR = '\x1e';

type Sent = string | Buffer;

const EVENTS: ReadonlySet<string> = new Set([
  'session:opened',
  'session:failed',
  'session:events',
  'request:failed',
  'server:draining',
]);

/** A target that nobody but its neighbour may reach. */
interface Foreign {
  sessionId: string;
}

// ---- Valid traffic -------------------------------------------------------------------------------------

function credentials(dice: Dice): { sessionId: string; key: string } {
  return { sessionId: dice.letters(22), key: dice.letters(43) };
}

function requests(
  dice: Dice,
  own: { sessionId: string; key: string },
  foreign: Foreign,
): [string, unknown][] {
  const { sessionId } = dice.chance(0.15) ? foreign : own;
  return [
    ['session:open', { ...own, create: true }],
    ['session:open', { ...own, sessionId, create: dice.chance(0.5), position: { epoch: 'e', seq: 1 } }],
    ['message:send', { sessionId, messageId: dice.letters(10), text: 'ahoy' }],
    ['session:history', { sessionId, limit: 10 }],
    ['turn:cancel', { sessionId }],
    ['turn:retry', { sessionId, retryId: dice.letters(10) }],
    ['agent:list', {}],
    ['agent:switch', { sessionId, agent: 'debbie' }],
    ['session:list', {}],
    ['session:leave', { sessionId }],
    ['session:close', { sessionId }],
  ];
}

/** What a client that knows the contract sends, as Socket.IO packets. */
function conversation(dice: Dice, foreign: Foreign): string[] {
  const own = credentials(dice);
  const auth = dice.pick([
    {},
    { session: { ...own, create: true } },
    { session: [{ ...own, create: true }] },
  ]);
  const packets = [`40${JSON.stringify(auth)}`];
  dice.times(1, 4, (id) => {
    const request = dice.pick(requests(dice, own, foreign));
    packets.push(`42${dice.chance(0.8) ? id : ''}${JSON.stringify(request)}`);
  });
  return packets;
}

// ---- What is done to it --------------------------------------------------------------------------------

const NESTED = '['.repeat(5_000) + ']'.repeat(5_000);

const STRANGE_PACKETS: readonly ((dice: Dice) => Sent[])[] = [
  () => [''],
  () => ['4'],
  () => ['40'],
  () => ['40'],
  () => ['40null'],
  () => ['40[]'],
  () => ['40"text"'],
  () => ['40{"token":{"a":1},"session":7}'],
  () => [`40{"session":${NESTED}}`],
  () => [`40{"session":[${Array.from({ length: 2_000 }, () => '{}').join()}]}`],
  () => ['40{"__proto__":{"session":{}},"constructor":7}'],
  (dice) => [`40/${dice.pick(['', 'admin', '__proto__', 'constructor', 'x'.repeat(500), '\u0000'])},{}`],
  (dice) => [`42/${dice.pick(['admin', '__proto__', '?a=b'])},1["agent:list",{}]`],
  () => ['41'],
  () => ['41{}'],
  () => ['42'],
  () => ['42[]'],
  () => ['42{}'],
  () => ['42null'],
  () => ['42[null]'],
  () => ['42[7,{}]'],
  () => ['42["connect"]'],
  () => ['42["connect_error",{}]'],
  () => ['42["disconnect","io server disconnect"]'],
  () => ['42["disconnecting"]'],
  () => ['42["newListener",1]'],
  () => ['42["error",{"message":"mine"}]'],
  () => ['42["__proto__",{}]'],
  () => ['421["constructor",{}]'],
  () => ['421["toString"]'],
  () => ['421["agent:list",{},{},{}]'],
  () => ['421["agent:list",{},null]'],
  () => [`421["agent:list",${NESTED}]`],
  () => [`421["session:open",{"metadata":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}]`],
  () => ['421["session:open",{"__proto__":{"create":true},"constructor":{"name":"x"}}]'],
  () => ['421["session:open",{"metadata":{"a":{"prototype":1}}}]'],
  () => ['421["message:send",{"sessionId":"\\ud800","messageId":"\\u0000","text":"\\udc00"}]'],
  () => ['4299999999999999999999999["agent:list",{}]'],
  () => ['421e5["agent:list",{}]'],
  () => ['42-1["agent:list",{}]'],
  () => ['42 1["agent:list",{}]'],
  () => ['431[]'],
  () => ['430[{"ok":true}]'],
  () => ['43["no id"]'],
  () => ['4399999999999[null]'],
  () => ['44{"message":"not for clients"}'],
  () => ['44'],
  // Attachments: announced and not sent, sent twice, sent unannounced, and of a number that cannot be.
  () => ['451-["message:send",{"_placeholder":true,"num":0}]'],
  (dice) => ['451-["agent:list",{"_placeholder":true,"num":0}]', dice.bytes(8)],
  (dice) => ['4511-1["agent:list",{"_placeholder":true,"num":0}]', dice.bytes(8), dice.bytes(8)],
  (dice) => ['452-2["agent:list",{"a":{"_placeholder":true,"num":1}}]', dice.bytes(8)],
  (dice) => ['451-1["agent:list",{"_placeholder":true,"num":0}]', '422["agent:list",{}]', dice.bytes(8)],
  (dice) => ['451-["agent:list",{"_placeholder":true,"num":-1}]', dice.bytes(1)],
  (dice) => ['451-["agent:list",{"_placeholder":true,"num":"__proto__"}]', dice.bytes(1)],
  (dice) => ['451-["agent:list",{"_placeholder":true,"num":7}]', dice.bytes(1)],
  () => ['450-["agent:list",{}]'],
  () => ['45999999999-["agent:list",{}]'],
  () => ['45-1-["agent:list",{}]'],
  () => ['45["agent:list",{}]'],
  () => ['45'],
  () => ['461-1[{"_placeholder":true,"num":0}]'],
  (dice) => ['461-1[{"_placeholder":true,"num":0}]', dice.bytes(3)],
  (dice) => [dice.bytes(dice.int(0, 40))],
  // Engine.IO's own types.
  () => ['0{"sid":"mine"}'],
  () => ['1'],
  () => ['2'],
  () => ['2probe'],
  () => ['3'],
  () => ['3probe'],
  () => ['5'],
  () => ['6'],
  () => ['7'],
  () => ['9'],
  () => ['b'],
  () => ['bAAAA'],
  () => ['\u0000'],
  () => ['4\u0000'],
  () => ['49'],
  () => ['4a'],
  (dice) => [`4${dice.bytes(40).toString('latin1')}`],
];

function strange(dice: Dice): Sent[] {
  if (dice.chance(0.01)) return [`421["agent:list","${'x'.repeat(LIMITS.packetBytes + dice.int(-40, 40))}"]`];
  if (dice.chance(0.01)) return [`421["agent:list",[${'[],'.repeat(60_000)}[]]]`];
  return dice.pick(STRANGE_PACKETS)(dice);
}

/** A packet that is no longer what it was. */
function mutatePacket(dice: Dice, packet: string): Sent[] {
  const at = dice.int(0, packet.length);
  const to = Math.min(packet.length, at + dice.int(1, 8));
  switch (dice.int(0, 8)) {
    case 0:
      return [packet.slice(0, at)];
    case 1:
      return [packet, packet];
    case 2:
      return [packet.slice(0, at) + packet.slice(to)];
    case 3:
      return [packet.slice(0, to) + packet.slice(at)];
    case 4:
      return [
        packet.slice(0, at) +
          dice.pick(['"', '[', '{', '}', ',', '\\', '\u0000', '9', '-', '/', '錨']) +
          packet.slice(at),
      ];
    case 5:
      return [Buffer.from(packet)];
    case 6:
      return [dice.pick([...'0123456789']) + packet.slice(1)];
    case 7:
      return [`4${dice.pick([...'0123456789'])}${packet.slice(2)}`];
    default: {
      const start = packet.search(/[[{]/);
      if (start < 0) return [packet + dice.letters(3)];
      const body = mutateValue(dice, JSON.parse(packet.slice(start)));
      return [packet.slice(0, start) + (JSON.stringify(body) ?? '')];
    }
  }
}

/** Traffic of which some is mutated, some moved, and some made up. */
function traffic(dice: Dice, foreign: Foreign): Sent[] {
  const packets: Sent[] = conversation(dice, foreign).flatMap((packet, index) =>
    dice.chance(index === 0 ? 0.15 : 0.4) ? mutatePacket(dice, packet) : [packet],
  );
  dice.times(0, 3, () =>
    packets.splice(dice.int(dice.chance(0.2) ? 0 : 1, packets.length), 0, ...strange(dice)),
  );
  if (dice.chance(0.1)) packets.push(...packets.splice(0, 1));
  return packets;
}

/** Frames of WebSocket that break its rules. */
function brokenFrames(dice: Dice): Buffer[] {
  const text = '421["agent:list",{}]';
  const bad: FrameOptions[] = [
    { rsv: dice.int(1, 7) },
    { opcode: dice.pick([3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf]) },
    { masked: false },
    { fin: false },
    { opcode: 0 },
    { opcode: 0, fin: false },
    { opcode: 8, fin: false },
    { opcode: 9, fin: false },
    { opcode: 9, rsv: 4 },
    { opcode: 0xa },
    { opcode: 9 },
    {
      length: dice.pick([0, 5, 125, 126, 65_535, 65_536, 300_000, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]),
    },
  ];
  switch (dice.int(0, 6)) {
    case 0:
      return [dice.bytes(dice.int(1, 60))];
    case 1:
      return [frame(Buffer.from([0x34, 0x32, 0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80]))];
    case 2:
      return [frame('x'.repeat(126 + dice.int(0, 200)), { opcode: dice.pick([8, 9, 0xa]) })];
    case 3:
      return [
        frame(
          dice.pick([
            Buffer.from([3]),
            Buffer.from([0, 0]),
            Buffer.from([3, 0xed]),
            Buffer.from([3, 0xe8, 0xff]),
          ]),
          { opcode: 8 },
        ),
      ];
    case 4:
      // In pieces, with a ping between them as is allowed; the last may be missing.
      return [
        frame(text.slice(0, 5), { fin: false }),
        frame('', { opcode: 9 }),
        frame(text.slice(5), { opcode: 0, fin: dice.chance(0.5) }),
      ];
    case 5:
      return dice.times(1, 30, () => frame('', { opcode: 0, fin: false }));
    default:
      return dice.times(1, 3, () => frame(text, dice.pick(bad)));
  }
}

const GARBAGE: readonly ((dice: Dice) => Sent)[] = [
  (dice) => dice.bytes(dice.int(1, 200)),
  () => 'GET\r\n\r\n',
  () => 'GET / HTTP/9.9\r\n\r\n',
  () => 'GET / HTTP/1.1\r\n\r\n',
  () => 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  () => 'GET /%zz%00 HTTP/1.1\r\nHost: a\r\n\r\n',
  () => 'GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n',
  () => 'GET /%2e%2e%2fpackage.json HTTP/1.1\r\nHost: a\r\n\r\n',
  () => 'GET //evil/ HTTP/1.1\r\nHost: a\r\n\r\n',
  () => 'GET http://else.where/ HTTP/1.1\r\nHost: a\r\n\r\n',
  () => 'CONNECT else.where:443 HTTP/1.1\r\nHost: a\r\n\r\n',
  () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  () => `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  () =>
    `GET / HTTP/1.1\r\nHost: a\r\n${Array.from({ length: 3_000 }, (_, at) => `x${at}: y`).join('\r\n')}\r\n\r\n`,
  () => 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  () => 'POST /health/live HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  () => 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{"a',
  () => 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n',
  () => 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
  () => 'DELETE /admin/sessions/__proto__ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \r\n\r\n',
  () => 'GET /admin/sessions?limit[]=1&state[__proto__]=2 HTTP/1.1\r\nHost: a\r\n\r\n',
  () => 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n',
];

const QUERIES = [
  '',
  'EIO=3&transport=polling',
  'EIO=4',
  'EIO=4&transport=',
  'EIO=4&transport=flashsocket',
  'EIO=4&transport=__proto__',
  'EIO=4&transport=constructor',
  'EIO=4&transport=polling&sid=__proto__',
  'EIO=4&transport=polling&sid=constructor',
  'EIO=4&transport=polling&sid=nobody',
  'EIO=4&transport=websocket&sid=nobody',
  'EIO=4&transport=polling&transport=websocket',
  'EIO=4&transport[]=polling&sid[]=a',
  'EIO=4&transport=polling&j=1',
  'EIO=4&transport=polling&j=alert(1)//',
  'EIO=4&transport=polling&b64=1',
  'EIO=4&transport=polling&%zz=%E0%A4%A',
  `EIO=4&transport=polling&t=${'x'.repeat(8_000)}`,
];

// ---- What is answered ----------------------------------------------------------------------------------

/** @throws Error for a message of the gateway that no contract knows, or that tells of somebody else */
function judge(message: string): void {
  const fail = (why: string): never => {
    throw new Error(`${why}: ${message.slice(0, 500)}`);
  };
  if (message.includes(SECRET)) fail("a neighbour's text");
  if (message.includes('"internal"')) fail('an internal error');
  if (/^($|[126]|3|0\{)/.test(message)) return;
  const [, type = '', rest = ''] = /^4([0-9])(.*)$/s.exec(message) ?? fail('no packet of Socket.IO');
  // Of an id of very many digits Socket.IO's parser makes a number, which is written as such.
  const [, id, json = ''] =
    /^((?:\d[\d.]*(?:e\+\d+)?|Infinity)?)(.*)$/s.exec(rest.replace(/^\/[^,]*,/, '')) ?? [];
  const body: unknown = json === '' ? undefined : JSON.parse(json);
  switch (type) {
    case '0':
    case '1':
    case '4':
      return;
    case '2':
      return EVENTS.has((body as [string])[0]) && id === '' ? undefined : fail('an unknown event');
    case '3': {
      const [answer, ...more] = body as [{ ok: boolean; error?: { code?: unknown } }];
      const known = answer.ok || typeof answer.error?.code === 'string';
      return known && more.length === 0 ? undefined : fail('an answer of another shape');
    }
    default:
      return fail('a packet of an unexpected type');
  }
}

function judgeHttp(head: string): void {
  expect(head).not.toContain(SECRET);
  expect(head).not.toMatch(/^HTTP\/1\.1 5\d\d/m);
  expect(head).not.toMatch(/root:x:|node_modules|at .*\.[jt]s:\d+/);
}

// ---- The ways in ---------------------------------------------------------------------------------------

/** Over a WebSocket: what comes of the packets, and an answer if the connection still stands. */
async function overWebSocket(dice: Dice, wire: Wire, foreign: Foreign): Promise<void> {
  await wire.upgrade();
  const isFraming = dice.chance(0.25);
  const packets = isFraming ? conversation(dice, foreign) : traffic(dice, foreign);
  const frames = packets.map((packet) => frame(packet, { opcode: Buffer.isBuffer(packet) ? 2 : 1 }));
  if (isFraming) frames.splice(dice.int(0, frames.length), 0, ...brokenFrames(dice));
  frames.push(frame(`42${PROBE}["agent:list",{}]`));
  for (const piece of dice.cuts(Buffer.concat(frames), dice.int(0, 4))) {
    wire.write(piece);
    if (dice.chance(0.2)) await new Promise(setImmediate);
  }
  await wire.until(() => wire.messages.some((message) => message.startsWith(`43${PROBE}[`)), ANSWER_MS);
  wire.messages.forEach(judge);
}

/** Over HTTP polling, with bodies and sids that are mixed up. */
async function overPolling(dice: Dice, wire: Wire, foreign: Foreign, others: string[]): Promise<void> {
  const base = '/socket.io/?EIO=4&transport=polling';
  wire.request('GET', dice.chance(0.1) ? `/socket.io/?${dice.pick(QUERIES)}` : base);
  await wire.until(() => /"sid":"|HTTP\/1\.1 4/.test(wire.head));
  const made = /"sid":"([^"]+)"/.exec(wire.head)?.[1];
  if (made !== undefined) others.push(made);
  if (others.length > 40) others.shift();
  const sid = dice.chance(0.15) && others.length > 0 ? dice.pick(others) : (made ?? '');
  const path = `${base}&sid=${sid}`;
  const packets = traffic(dice, foreign).map((packet) =>
    Buffer.isBuffer(packet)
      ? `b${dice.chance(0.8) ? packet.toString('base64') : packet.toString('latin1')}`
      : packet,
  );
  const whole = Buffer.from(
    packets.join(dice.chance(0.9) ? RECORD_SEPARATOR : dice.pick(['', '\n', '\x1e\x1e'])),
  );
  const body = dice.chance(0.2)
    ? Buffer.concat([whole.subarray(0, dice.int(0, whole.length)), dice.bytes(4)])
    : whole;
  const type = dice.pick(['text/plain;charset=UTF-8', 'application/octet-stream', 'application/json', '']);
  wire.request('POST', path, [`Content-Type: ${type}`], body);
  const reads = dice.int(0, 3);
  for (let read = 0; read < reads; read += 1) wire.request('GET', path);
  if (dice.chance(0.1)) wire.request(dice.pick(['PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH']), path);
  if (dice.chance(0.3)) wire.request('POST', path, [], '1');
  await wire.until(() => wire.head.split('HTTP/1.1 ').length > 2 + reads, ANSWER_MS);
  judgeHttp(wire.head);
}

/** Whatever comes in on the port. */
async function overTcp(dice: Dice, wire: Wire): Promise<void> {
  if (dice.chance(0.3)) {
    const headers = [
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${dice.pick(['', 'short', 'dGhlIHNhbXBsZSBub25jZQ==', 'x'.repeat(500)])}`,
      `Sec-WebSocket-Version: ${dice.pick(['13', '8', '', '-1', '99'])}`,
      `Origin: ${dice.pick(['null', 'http://evil.example', 'file://', '', '\u0001'])}`,
      `Sec-WebSocket-Extensions: ${dice.pick(['permessage-deflate', 'permessage-deflate; a=b; a=b', ';;;', 'x'])}`,
    ].filter(() => dice.chance(0.8));
    const path = dice.pick(['/socket.io/', '/', '/socket.io', '/socket.io/../', '/health/live']);
    wire.request(dice.pick(['GET', 'GET', 'GET', 'POST']), `${path}?${dice.pick(QUERIES)}`, headers);
    if (dice.chance(0.5)) wire.write(dice.bytes(20));
  } else {
    for (const piece of dice.cuts(Buffer.from(dice.pick(GARBAGE)(dice)), dice.int(0, 3))) wire.write(piece);
    if (dice.chance(0.1)) wire.write(JSON.stringify(anyValue(dice)) ?? '');
  }
  await wire.until(() => wire.head.includes('\r\n\r\n'), ANSWER_MS / 2);
  judgeHttp(wire.head);
}

describe('a peer that sends anything whatsoever', () => {
  afterEach(disposeAll);

  it('[LIM-1 LIM-2 LIM-9 REQ-6 REQ-8] disturbs no neighbour, learns nothing of it, and leaves nothing behind', async () => {
    const watch = new ProcessWatch();
    const running = await gateway({ MAX_SOCKETS_PER_IP: '100000' });
    const { url, model, app, get } = running;
    model.autoAnswer = (call) => {
      if (call.asked.startsWith(SECRET)) void answerNeighbour(call);
      else call.answer('ahoy');
    };
    const neighbours = [
      await Neighbour.start(url, 'by websocket', ['websocket']),
      await Neighbour.start(url, 'by polling', ['polling']),
      await Neighbour.start(url, 'by both', ['polling', 'websocket']),
    ];
    // Whoever connects from now on by polling, and goes without a word, is noticed soon.
    Object.assign(engineOptions(running), { pingInterval: 1_000, pingTimeout: 1_500 });
    const foreign = { sessionId: neighbours[0]?.credentials.sessionId ?? '' };
    const others: string[] = [];

    await fuzz({ quick: 1_500, whole: 10_000, atOnce: 32 }, async (dice) => {
      const wire = await Wire.open(url);
      try {
        const kind = dice.next();
        if (kind < 0.7) await overWebSocket(dice, wire, foreign);
        else if (kind < 0.87) await overPolling(dice, wire, foreign, others);
        else await overTcp(dice, wire);
      } finally {
        wire.end(dice.pick(['end', 'destroy', 'reset']));
      }
    });

    await until(() => engineClients(running) === neighbours.length, 'the peers to be gone');
    expect(get(ChatGateway).sockets).toBe(neighbours.length);
    for (const neighbour of neighbours) await neighbour.stop();
    await until(async () => (await get(SessionStore).census()).attached === 0, 'everyone to be unbound');
    const server = app.getHttpServer();
    const open = (): Promise<number> => new Promise((resolve) => server.getConnections((_, n) => resolve(n)));
    await until(async () => (await open()) === 0, 'the connections to be closed');
    // A fresh client finds it as it was.
    const client = await running.client();
    const { sessionId } = await client.open({ ...newCredentials(), create: true });
    await client.send(sessionId, 'ahoy');
    await client.turn('completed');
    expect(watch.complaints).toEqual([]);
    watch.stop();
  }, 600_000);
});
