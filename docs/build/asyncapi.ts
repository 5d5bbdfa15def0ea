import { ROOT, typeSchemas, validatorSchemas, type Schema } from './schemas.ts';

export interface Message {
  name: string;
  title: string;
  summary: string;
  payload: Schema;
}

export interface AsyncApi {
  asyncapi: '3.0.0';
  info: { title: string; version: string; description: string; license: { name: string; url: string } };
  defaultContentType: string;
  servers: Record<string, object>;
  channels: Record<string, object>;
  operations: Record<string, object>;
  components: { messages: Record<string, Message>; schemas: Record<string, Schema> };
}

/** What each request does, and when each event comes: the one thing that neither types nor validators say. */
const SUMMARIES: Record<string, string> = {
  'session:open': 'Opens a session, or makes it, and binds this socket to it.',
  'session:leave': 'Unbinds this socket; the session goes on.',
  'session:close': 'Ends the session for everyone and for ever.',
  'session:history': 'Stored messages just before one, oldest first.',
  'session:list': 'The sessions of the token’s subject, newest first.',
  'message:send': 'Stores a user message and queues its turn; repeating it is safe.',
  'turn:cancel': 'Ends a turn; what was shown of its answer is kept.',
  'turn:retry': 'Answers a user message anew; all that came after it is withdrawn.',
  'agent:list': 'The agents to choose from, the default first.',
  'agent:switch': 'Turns that start later are answered by another agent.',
  'session:opened': 'A session that the handshake named is bound; this is what was missed.',
  'session:failed': 'A session that the handshake named could not be opened.',
  'session:events': 'The log after `from`, up to `to`.',
  'request:failed': 'A request that was sent without an acknowledgement callback failed.',
  'server:draining': 'The node is about to stop: reconnect after a random part of `graceMs`.',
};

/** The contract as an AsyncAPI 3 document: types from `src/protocol.ts`, limits from the DTOs of the built gateway. */
export async function asyncApi(version: string): Promise<AsyncApi> {
  const definitions = typeSchemas('src/protocol.ts');
  const requests = definitions['Requests']?.properties ?? {};
  const events = definitions['ServerEvents']?.properties ?? {};
  const limits = await dtoSchemas();
  const messages: Record<string, Message> = {};
  const operations: Record<string, object> = {};
  const put = (name: string, summary: string, payload: Schema): string => {
    const key = keyOf(name);
    messages[key] = { name, title: name, summary, payload };
    return key;
  };
  const refs = (...keys: string[]) => keys.map((key) => ({ $ref: `#/channels/socket/messages/${key}` }));
  for (const [name, { properties: { payload = {}, data = {} } = {} }] of Object.entries(requests)) {
    const summary = SUMMARIES[name] ?? '';
    const asked = put(name, summary, limited(resolved(payload, definitions), limits[name]));
    const answered = put(
      `${name} (acknowledgement)`,
      `What \`${name}\` is answered with.`,
      acknowledgement(data),
    );
    operations[asked] = {
      action: 'receive',
      channel: { $ref: '#/channels/socket' },
      summary,
      messages: refs(asked),
      reply: { channel: { $ref: '#/channels/socket' }, messages: refs(answered) },
    };
  }
  for (const [name, { properties: { namedArgs } = {} }] of Object.entries(events)) {
    // The one argument of the listener.
    const [payload = {}] = Object.values(namedArgs?.properties ?? {});
    const key = put(name, SUMMARIES[name] ?? '', payload);
    operations[key] = {
      action: 'send',
      channel: { $ref: '#/channels/socket' },
      summary: SUMMARIES[name],
      messages: refs(key),
    };
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Mooring',
      version,
      description:
        'Conversations over Socket.IO 4, namespace `/`, path `/socket.io`. Every request is acknowledged; a session is a log of events, and a client is a cursor on it. The rules in words are in SPEC.md.',
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    defaultContentType: 'application/json',
    servers: { local: { host: 'localhost:3000', protocol: 'ws', description: 'As `npm start` starts it.' } },
    channels: {
      socket: {
        address: '/',
        title: 'The namespace /',
        description: 'The handshake’s `auth` is `HandshakeAuth`.',
        messages: Object.fromEntries(
          Object.keys(messages).map((key) => [key, { $ref: `#/components/messages/${key}` }]),
        ),
      },
    },
    operations,
    components: { messages, schemas: named(definitions) },
  };
}

/** `session:open` → `sessionOpen` */
function keyOf(name: string): string {
  return name
    .replace(' (acknowledgement)', ':acknowledgement')
    .replace(/[:-](\w)/g, (_match, letter: string) => letter.toUpperCase());
}

/** Those that are the contract's own; the others are made up by the type checker or have no JSON. */
function named(definitions: Record<string, Schema>): Record<string, Schema> {
  const without = new Set(['Requests', 'RequestName', 'ClientEvents', 'ServerEvents', 'isRetryable']);
  return Object.fromEntries(
    Object.entries(definitions).filter(([name]) => /^\w+$/.test(name) && !without.has(name)),
  );
}

function resolved(schema: Schema, definitions: Record<string, Schema>): Schema {
  const name = schema.$ref?.split('/').at(-1);
  return (name !== undefined && definitions[name]) || schema;
}

/** The type's fields with the validators' limits. */
function limited(payload: Schema, limits: Schema | undefined): Schema {
  const properties = Object.entries(payload.properties ?? {}).map(([name, field]) => {
    const { type: _type, $ref: _ref, ...limit } = limits?.properties?.[name] ?? {};
    // A whole number to the validators, which to the type is a number.
    return [name, field.$ref ? field : { ...field, ...limit, ...(_type === 'integer' && { type: _type }) }];
  });
  return { ...payload, properties: Object.fromEntries(properties) as Record<string, Schema> };
}

function acknowledgement(data: Schema): Schema {
  return {
    anyOf: [
      {
        type: 'object',
        properties: { ok: { const: true }, data },
        required: ['ok', 'data'],
      },
      {
        type: 'object',
        properties: { ok: { const: false }, error: { $ref: '#/components/schemas/ErrorPayload' } },
        required: ['ok', 'error'],
      },
    ],
  };
}

/** By request, what its DTO allows: found at the handlers of the gateway, as Nest finds it. */
async function dtoSchemas(): Promise<Record<string, Schema>> {
  await import('reflect-metadata');
  const { ChatGateway } = (await import(`${ROOT}dist/gateway/chat.gateway.js`)) as {
    ChatGateway: { prototype: Record<string, (...args: never[]) => unknown> };
  };
  const schemas = await validatorSchemas();
  const { prototype } = ChatGateway;
  const found: [string, Schema][] = [];
  for (const [method, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (typeof value !== 'function') continue;
    const event = Reflect.getMetadata('message', value as object) as string | undefined;
    const types = (Reflect.getMetadata('design:paramtypes', prototype, method) ?? []) as { name: string }[];
    const schema = types.map(({ name }) => schemas[name]).find((known) => known !== undefined);
    if (event !== undefined && schema) found.push([event, schema]);
  }
  return Object.fromEntries(found);
}
