import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { disposeAll, gateway, temporaryDirectory } from './support/gateway.js';
import { ADMIN_TOKEN, Operator } from './support/operator.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NAME = join('.console', 'openapi.json');

interface Document extends Record<string, unknown> {
  paths: Record<string, Record<string, { responses: Record<string, object> }>>;
}

describe('the admin API as a document', () => {
  afterEach(disposeAll);

  it('[ADM-8] is what the controllers, DTOs and types say now (npm run docs)', async () => {
    const folder = await temporaryDirectory();
    await promisify(execFile)(process.execPath, [join(ROOT, 'docs', 'build', 'main.ts'), folder]);
    expect(readFileSync(join(ROOT, 'web', 'public', NAME), 'utf8')).toBe(
      readFileSync(join(folder, NAME), 'utf8'),
    );
  });

  it('[ADM-8] is valid, is served, and is what is answered', async () => {
    const { url, client, model } = await gateway({ ADMIN_TOKEN });
    const operator = new Operator(url);
    const response = await operator.ask('/openapi.json');
    expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'no-store']);
    const document = (await response.json()) as Document;
    const validator = new Validator();
    expect(await validator.validate(structuredClone(document))).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');

    const socket = await client();
    const { sessionId } = await socket.open();
    await socket.send(sessionId, 'hello');
    (await model.nextCall()).begin().text('so').finish();
    await socket.turn('completed');
    await socket.send(sessionId, 'endless');
    (await model.nextCall()).begin().text('and');

    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema(document, 'api');
    const asked: [method: string, template: string, path: string, status: number][] = [
      ['get', '/admin/sessions', '/sessions', 200],
      ['get', '/admin/sessions', '/sessions?limit=0', 400],
      ['get', '/admin/sessions/{id}', `/sessions/${sessionId}?content=true`, 200],
      ['get', '/admin/sessions/{id}', '/sessions/none', 404],
      ['get', '/admin/stats', '/stats', 200],
      ['get', '/admin/stats/history', '/stats/history', 200],
      ['delete', '/admin/sessions/{id}', `/sessions/${sessionId}`, 204],
      ['get', '/admin', '', 302],
      ['post', '/admin/drain', '/drain', 202],
    ];
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(new Set(described)).toEqual(
      new Set([...asked.map(([method, template]) => `${method} ${template}`), 'get /admin/openapi.json']),
    );
    for (const [method, template, path, status] of asked) {
      const answer = await operator.ask(path, method.toUpperCase());
      expect({ method, path, status: answer.status }).toEqual({ method, path, status });
      const said = document.paths[template]?.[method]?.responses[status];
      expect(said).toBeDefined();
      if (!said || !('content' in said)) continue;
      const pointer = `${template}/${method}/responses/${status}/content/application~1json/schema`;
      const escaped =
        pointer.slice(0, template.length).replaceAll('/', '~1') + pointer.slice(template.length);
      const check = ajv.compile({ $ref: `api#/paths/${encodeURI(escaped)}` });
      expect({ path, fits: check(await answer.json()), errors: check.errors }).toEqual({
        path,
        fits: true,
        errors: null,
      });
    }
  });
});
