import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A span as OTLP has it in JSON, its attributes as an object. */
export interface SpanData {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  /** 1 internal, 3 client. */
  kind: number;
  attributes: Record<string, unknown>;
  /** 2: an error. */
  status: { code?: number; message?: string };
  begin: bigint;
  end: bigint;
}

interface Value {
  stringValue?: string;
  intValue?: number | string;
  doubleValue?: number;
  boolValue?: boolean;
  arrayValue?: { values: Value[] };
}
interface Attribute {
  key: string;
  value: Value;
}
interface Posted {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: {
      spans: (Omit<SpanData, 'attributes' | 'begin' | 'end'> & {
        attributes: Attribute[];
        startTimeUnixNano: string;
        endTimeUnixNano: string;
      })[];
    }[];
  }[];
}

export interface Collector {
  url: string;
  spans: SpanData[];
  /** Of the resource, of the last post. */
  resource: Record<string, unknown>;
  /** All that was posted, as it came. */
  raw: string;
  posts: { path: string; headers: IncomingHttpHeaders }[];
  stop(): Promise<void>;
}

/** Takes traces as OTLP/HTTP in JSON. @param answer what it answers instead of taking them; nothing: it hangs */
export async function startCollector(answer?: (response: ServerResponse) => void): Promise<Collector> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      collector.posts.push({ path: request.url ?? '', headers: request.headers });
      if (answer) return answer(response);
      collector.raw += body;
      for (const { resource, scopeSpans } of (JSON.parse(body) as Posted).resourceSpans) {
        collector.resource = attributesOf(resource.attributes);
        for (const { startTimeUnixNano, endTimeUnixNano, ...span } of scopeSpans.flatMap(
          ({ spans }) => spans,
        )) {
          collector.spans.push({
            ...span,
            attributes: attributesOf(span.attributes),
            begin: BigInt(startTimeUnixNano),
            end: BigInt(endTimeUnixNano),
          });
        }
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const collector: Collector = {
    url: `http://127.0.0.1:${port}`,
    spans: [],
    resource: {},
    raw: '',
    posts: [],
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return collector;
}

function attributesOf(attributes: Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]));
}

function valueOf({ stringValue, intValue, doubleValue, boolValue, arrayValue }: Value): unknown {
  if (arrayValue) return arrayValue.values.map(valueOf);
  return stringValue ?? doubleValue ?? boolValue ?? Number(intValue);
}
