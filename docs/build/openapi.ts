import { ROOT, typeSchemas, validatorSchemas, type Schema } from './schemas.ts';

export interface OpenApi {
  openapi: '3.1.1';
  info: {
    title: string;
    version: string;
    description: string;
    license: { name: string; identifier: string };
  };
  servers: { url: string; description: string }[];
  security: Record<string, string[]>[];
  paths: Record<string, Record<string, object>>;
  components: { schemas: Record<string, Schema>; securitySchemes: Record<string, object> };
}

interface Operation {
  summary: string;
  /** What a success answers with: a type of `src/ops/admin.api.ts`, or what else it is. */
  answer?: string;
  /** Statuses of refusals beside that of a missing token. */
  refusals?: number[];
}

/** By handler: the one thing that neither types nor decorators say. */
const OPERATIONS: Record<string, Operation> = {
  'AdminController.list': {
    summary: 'Sessions, the last active first, a page at a time.',
    answer: 'AdminSessions',
    refusals: [400, 503],
  },
  'AdminController.show': {
    summary: 'One session; what was said in it only with `content=true`, which the audit log notes.',
    answer: 'AdminSessionDetail',
    refusals: [400, 404, 503],
  },
  'AdminController.close': {
    summary: 'Closes a session for everyone; its open turns end as interrupted. The audit log notes it.',
    refusals: [404, 503],
  },
  'AdminNodeController.page': { summary: 'Leads to the page at `/console`.' },
  'AdminNodeController.now': { summary: 'What the node does now.', answer: 'AdminStats' },
  'AdminNodeController.history': {
    summary: 'The last five minutes, for charts.',
    answer: 'AdminHistory',
  },
  'AdminNodeController.drain': {
    summary: 'Begins the stop that SIGTERM begins; the process ends when it is done. The audit log notes it.',
    answer: 'AdminDraining',
  },
  'AdminNodeController.openApi': { summary: 'This document.', answer: 'OpenAPI' },
};

const REFUSALS: Record<number, string> = {
  400: 'A parameter cannot be used: `invalid_payload`, with the issues.',
  404: 'There is no such session: `session_not_found`.',
  503: 'The store is out of reach: `unavailable`; nothing was changed.',
};

type Handler = (...args: never[]) => unknown;
type Controller = { name: string; prototype: Record<string, Handler> };

/** Nest's own names of what its decorators note. */
const METHODS = ['get', 'post', 'put', 'delete', 'patch'];

/** The admin API as an OpenAPI document: paths and queries from the built controllers, answers from their types. */
export async function openApi(version: string): Promise<OpenApi> {
  await import('reflect-metadata');
  const controllers = await Promise.all(
    [
      ['admin.controller.js', 'AdminController'],
      ['admin-node.controller.js', 'AdminNodeController'],
    ].map(async ([file, name = '']) => {
      const module = (await import(`${ROOT}dist/ops/${file}`)) as Record<string, Controller | undefined>;
      const found = module[name];
      if (!found) throw new Error(`${file} has no ${name}`);
      return found;
    }),
  );
  const queries = await validatorSchemas();
  const paths: OpenApi['paths'] = {};
  for (const controller of controllers) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(controller.prototype))) {
      if (typeof value !== 'function') continue;
      const handler = value as Handler;
      const method = METHODS[Reflect.getMetadata('method', handler) as number];
      if (Reflect.getMetadata('path', handler) === undefined || method === undefined) continue;
      const path = pathOf(controller, handler);
      paths[path] = { ...paths[path], [method]: operationOf(controller, name, handler, path, queries) };
    }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Mooring admin API',
      version,
      description:
        'Behind `ADMIN_TOKEN`. Without it, or without the header `Authorization: Bearer` and that token, every path here is as unknown as any other: 404, in the framework’s words.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The gateway that gave this document.' }],
    security: [{ token: [] }],
    paths,
    components: {
      schemas: named(typeSchemas('src/ops/admin.api.ts')),
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'The value of `ADMIN_TOKEN`.' },
      },
    },
  };
}

function pathOf(controller: Controller, handler: Handler): string {
  const parts = [Reflect.getMetadata('path', controller), Reflect.getMetadata('path', handler)] as string[];
  const path = parts.map((part) => part.replace(/^\/|\/$/g, '')).filter((part) => part !== '');
  return `/${path.join('/')}`.replace(/:(\w+)/g, '{$1}');
}

function operationOf(
  controller: Controller,
  name: string,
  handler: Handler,
  path: string,
  queries: Record<string, Schema>,
): object {
  const operation = OPERATIONS[`${controller.name}.${name}`];
  if (!operation) throw new Error(`docs/build/openapi.ts does not say what ${controller.name}.${name} does`);
  const { summary, answer, refusals = [] } = operation;
  const redirect = Reflect.getMetadata('__redirect__', handler) as { url: string } | undefined;
  const status = redirect
    ? 302
    : ((Reflect.getMetadata('__httpCode__', handler) as number | undefined) ?? 200);
  const types = (Reflect.getMetadata('design:paramtypes', controller.prototype, name) ?? []) as {
    name: string;
  }[];
  const query = types.map((type) => queries[type.name]).find((known) => known !== undefined);
  return {
    operationId: `${controller.name.replace('Controller', '')}_${name}`,
    summary,
    parameters: [...inPath(path), ...inQuery(query)],
    responses: {
      [status]: { description: redirect ? `To \`${redirect.url}\`.` : summary, ...contentOf(answer) },
      ...Object.fromEntries(
        refusals.map((refusal) => [
          refusal,
          { description: REFUSALS[refusal] ?? '', ...contentOf('AdminError') },
        ]),
      ),
      ...(refusals.includes(404) ? {} : { 404: { description: 'The token is missing or wrong.' } }),
    },
  };
}

function contentOf(type: string | undefined): object {
  if (type === undefined) return {};
  const schema = type === 'OpenAPI' ? { type: 'object' } : { $ref: `#/components/schemas/${type}` };
  return { content: { 'application/json': { schema } } };
}

function inPath(path: string): object[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function inQuery({ properties = {}, required = [] }: Schema = {}): object[] {
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));
}

/** What the type checker made up has no name that a document could refer to. */
function named(definitions: Record<string, Schema>): Record<string, Schema> {
  return Object.fromEntries(Object.entries(definitions).filter(([name]) => /^\w+$/.test(name)));
}
