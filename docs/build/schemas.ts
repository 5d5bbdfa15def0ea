import { getMetadataStorage } from 'class-validator';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { createGenerator, type Definition } from 'ts-json-schema-generator';

/** JSON Schema, as far as both draft 7 (AsyncAPI 3) and 2020-12 (OpenAPI 3.1) take it. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  pattern?: string;
  additionalProperties?: boolean | Schema;
  [keyword: string]: unknown;
}

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);

/** Of all types that a source file exports, and those that they need. */
export function typeSchemas(path: string): Record<string, Schema> {
  const generator = createGenerator({
    path: `${ROOT}${path}`,
    tsconfig: `${ROOT}tsconfig.json`,
    type: '*',
    skipTypeCheck: true,
  });
  const { definitions = {} } = generator.createSchema('*') as { definitions?: Record<string, Definition> };
  // A later version may send more: what is unknown is passed over, on both sides.
  const text = JSON.stringify(definitions, (key, value: unknown) =>
    key === 'additionalProperties' && value === false ? undefined : value,
  );
  return JSON.parse(text.replaceAll('#/definitions/', '#/components/schemas/')) as Record<string, Schema>;
}

/** By the class's name, what the validators of each DTO allow that was imported until now. */
export async function validatorSchemas(): Promise<Record<string, Schema>> {
  const { validationMetadatasToSchemas } = await import('class-validator-jsonschema');
  const { defaultMetadataStorage } = require('class-transformer/cjs/storage.js') as {
    defaultMetadataStorage: never;
  };
  return validationMetadatasToSchemas({
    classValidatorMetadataStorage: getMetadataStorage(),
    classTransformerMetadataStorage: defaultMetadataStorage,
  }) as Record<string, Schema>;
}
